//! Copies a whole catalog into an empty one, whichever database either is: the heart of backup and restore.

use jumpbag_wire::audit::RESTORE;
use jumpbag_wire::time::Timestamp;
use serde_json::json;

use super::audit::{self, Actor, Change};
use super::value::Value;
use super::{Catalog, CatalogError};

/// Every table worth keeping, parents before children, with the columns of its key and all columns, which begin
/// with those of the key. The tenant comes last: a catalog without one is not complete.
const TABLES: &[(&str, usize, &[&str])] = &[
    ("contents", 1, &["id", "sha256", "size", "bytes", "blob", "created_at"]),
    ("garbage", 1, &["blob", "since"]),
    (
        "files",
        1,
        &[
            "id",
            "name_key",
            "version",
            "created_at",
            "created_by",
            "deleted_at",
            "deleted_by",
            "held_at",
            "held_by",
            "hold_reason",
        ],
    ),
    (
        "versions",
        1,
        &[
            "born",
            "file",
            "number",
            "name",
            "content",
            "description",
            "has_parameters",
            "parameters_description",
            "author",
            "author_id",
            "created_at",
            "died",
            "ended",
            "cause",
            "tags",
            "platforms",
            "category",
            "instructions",
            "ended_at",
        ],
    ),
    ("labels", 3, &["version", "kind", "value"]),
    ("retries", 2, &["caller", "retry_key", "fingerprint", "answer", "at"]),
    ("clients", 1, &["id", "name", "created_at", "expires_at", "removed_at", "public"]),
    ("client_permissions", 2, &["client", "permission"]),
    ("client_secrets", 2, &["client", "sha256", "created_at", "expires_at"]),
    ("client_certificates", 2, &["client", "sha256", "pem", "created_at"]),
    ("client_redirects", 2, &["client", "uri"]),
    (
        "users",
        1,
        &[
            "id",
            "name",
            "name_key",
            "display_name",
            "password",
            "totp",
            "totp_step",
            "epoch",
            "created_at",
            "password_at",
            "disabled_at",
            "removed_at",
        ],
    ),
    ("user_permissions", 2, &["user_id", "permission"]),
    (
        "webhooks",
        1,
        &[
            "id",
            "url",
            "description",
            "events",
            "secret",
            "created_at",
            "created_by",
            "disabled_at",
            "delivered",
            "attempts",
            "failing_since",
            "next_try",
            "last_at",
            "last_status",
            "last_error",
            "lease_holder",
            "lease_until",
        ],
    ),
    (
        "enrollments",
        1,
        &["id", "sha256", "tags", "uses", "expires_at", "created_at", "created_by", "revoked_at"],
    ),
    (
        "machines",
        1,
        &[
            "id",
            "public_key",
            "name",
            "os_platform",
            "version",
            "facts",
            "tags",
            "address",
            "first_seen",
            "last_seen",
            "enrollment",
            "ip_address",
            "revoked_at",
            "lineage",
        ],
    ),
    ("machine_tags", 2, &["machine", "value"]),
    (
        "actions",
        1,
        &[
            "number",
            "id",
            "machine",
            "machine_name",
            "status",
            "requestor",
            "requestor_id",
            "comment",
            "created_at",
            "updated_at",
            "cancelled_by",
            "cancel_comment",
            "cancelled_at",
            "deadline",
            "ended",
        ],
    ),
    (
        "commands",
        2,
        &[
            "action",
            "number",
            "kind",
            "params",
            "args",
            "path",
            "status",
            "started_at",
            "ended_at",
            "errors",
            "exit_code",
            "file",
            "version",
            "file_name",
            "sha256",
            "size",
            "content",
            "ends",
        ],
    ),
    ("output", 4, &["action", "command", "stream", "start", "size", "bytes", "blob"]),
    ("signing_keys", 1, &["kid", "private_key", "created_at", "retired_at"]),
    (
        "audit",
        1,
        &[
            "number",
            "at",
            "actor",
            "actor_id",
            "address",
            "action",
            "target",
            "before",
            "after",
            "request_id",
            "previous",
            "hash",
        ],
    ),
    ("checkpoints", 1, &["number", "at", "note"]),
    ("audit_keys", 1, &["name", "private_key", "created_at"]),
    ("tenant", 1, &["id", "created_at", "change", "head", "files", "bytes"]),
];
const BATCH: u64 = 200;

/// Copies every row of `from`, as of one moment, into `to`; how many rows that were.
///
/// # Errors
/// When `to` is not empty or either database fails. What was copied before a failure stays: begin again with an
/// empty database.
pub async fn copy(from: &Catalog, to: &Catalog) -> Result<u64, CatalogError> {
    require_empty(to).await?;
    let mut snapshot = from.freeze().await?;
    let mut copied = 0;
    for (table, keys, columns) in TABLES {
        let list = columns.join(", ");
        let key = columns[..*keys].join(", ");
        let insert = format!("insert into {table} ({list}) values ({})", placeholders(columns.len()));
        let mut last: Vec<Value> = Vec::new();
        loop {
            let after = if last.is_empty() {
                String::new()
            } else {
                format!(" where ({key}) > ({})", placeholders(*keys))
            };
            let sql = format!("select {list} from {table}{after} order by {key} limit {BATCH}");
            let rows = snapshot.query(sql, std::mem::take(&mut last)).await?;
            let Some(newest) = rows.last() else { break };
            last = newest[..*keys].to_vec();
            copied += rows.len() as u64;
            let insert = insert.clone();
            to.write(move |tx| {
                Box::pin(async move {
                    for row in rows {
                        tx.execute(&insert, &row).await?;
                    }
                    Ok::<_, CatalogError>(())
                })
            })
            .await?;
        }
    }
    Ok(copied)
}

fn placeholders(count: usize) -> String {
    (1..=count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

/// # Errors
/// When the database has been used already.
pub async fn require_empty(to: &Catalog) -> Result<(), CatalogError> {
    let filled = to
        .read(|tx| {
            Box::pin(async move {
                tx.one(
                    "select exists (select 1 from tenant) or exists (select 1 from contents) \
                     or exists (select 1 from clients)",
                    &[],
                )
                .await?
                .take::<bool>()
            })
        })
        .await?;
    if filled {
        return Err(CatalogError::Migration(
            "the target database is not empty: restore into a new one".into(),
        ));
    }
    Ok(())
}

/// Numbers of changes after a restore must not repeat those that were handed out after the backup was made: a
/// client that remembers one would take the old state for the new. The gap is a change itself. Machines have moved on
/// since: each comes back with whatever lineage it has by now. Sign-ins that were ended since stay ended.
pub async fn begin_anew(catalog: &Catalog, actor: Actor, now: Timestamp) -> Result<(), CatalogError> {
    const GAP: i64 = 1_000_000;
    catalog
        .write(move |tx| {
            Box::pin(async move {
                let last = audit::last_change(tx).await?;
                tx.execute("update tenant set change = change + $1", &[GAP.into()]).await?;
                super::machines::forget_lineage(tx, None).await?;
                tx.execute("update users set epoch = epoch + $1", &[GAP.into()]).await?;
                let turn = audit::turn(tx).await?;
                let change = Change {
                    action: RESTORE,
                    target: "catalog",
                    before: Some(json!({ "number": last })),
                    after: None,
                };
                audit::append(tx, now, &actor, turn, change).await
            })
        })
        .await
}

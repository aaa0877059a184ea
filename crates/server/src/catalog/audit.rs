//! The audit log's rows: one for every change, written in the transaction that makes the change and chained to the
//! row before.

use jumpbag_wire::audit::{AuditEntry, FIRST, canonical};
use jumpbag_wire::time::Timestamp;
use serde_json::Value as Json;

use super::value::Row;
use super::{CatalogError, Tx};

/// Who changes something, from where, and in which request.
#[derive(Debug, Clone)]
pub struct Actor {
    pub name: String,
    pub id: String,
    pub address: Option<String>,
    pub request_id: String,
}

impl Actor {
    /// The person at the server's own command line.
    pub fn operator(command: &str) -> Actor {
        Actor {
            name: "operator".into(),
            id: format!("command:{command}"),
            address: None,
            request_id: uuid::Uuid::new_v4().to_string(),
        }
    }
}

/// A change under way: its number, and what the rows of the tenant said before it. Ended by [`append`].
#[derive(Debug)]
pub struct Turn {
    pub number: i64,
    /// The hash of the audit row before.
    previous: String,
    /// How many files live in the library, and how many bytes its contents have.
    pub files: i64,
    pub bytes: i64,
}

/// What was changed.
pub struct Change<'a> {
    /// For example `library.upload`.
    pub action: &'static str,
    pub target: &'a str,
    pub before: Option<Json>,
    pub after: Option<Json>,
}

/// Takes the next change number. The row stays locked until the transaction ends, so changes commit in the
/// order of their numbers. Every change begins with it: they would wait for each other otherwise.
pub async fn turn(tx: &mut Tx) -> Result<Turn, CatalogError> {
    let sql = "update tenant set change = change + 1 returning change, head, files, bytes";
    let mut row = tx.one(sql, &[]).await?;
    Ok(Turn { number: row.take()?, previous: row.take()?, files: row.take()?, bytes: row.take()? })
}

/// Waits for the changes under way: until this transaction ends there are no others. For what has to be known before
/// a change begins.
pub async fn wait(tx: &mut Tx) -> Result<(), CatalogError> {
    tx.execute("update tenant set change = change", &[]).await?;
    Ok(())
}

/// The number of the last change.
pub async fn last_change(tx: &mut Tx) -> Result<i64, CatalogError> {
    tx.one("select change from tenant", &[]).await?.take()
}

/// Writes the change's row, chained to the one before, and ends its turn.
pub async fn append(
    tx: &mut Tx,
    now: Timestamp,
    actor: &Actor,
    turn: Turn,
    change: Change<'_>,
) -> Result<(), CatalogError> {
    let mut entry = AuditEntry {
        number: turn.number,
        time: now,
        actor: actor.name.clone(),
        actor_id: actor.id.clone(),
        address: actor.address.clone(),
        action: change.action.to_owned(),
        target: change.target.to_owned(),
        before: change.before,
        after: change.after,
        request_id: actor.request_id.clone(),
        previous: turn.previous,
        hash: String::new(),
    };
    entry.hash = entry.expected_hash();
    tx.execute(
        "update tenant set head = $1, files = $2, bytes = $3",
        &[entry.hash.as_str().into(), turn.files.into(), turn.bytes.into()],
    )
    .await?;
    tx.execute(
        "insert into audit (number, at, actor, actor_id, address, action, target, before, after, request_id, \
         previous, hash) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        &[
            entry.number.into(),
            now.into(),
            entry.actor.into(),
            entry.actor_id.into(),
            entry.address.into(),
            entry.action.into(),
            entry.target.into(),
            entry.before.map(|json| canonical(&json)).into(),
            entry.after.map(|json| canonical(&json)).into(),
            entry.request_id.into(),
            entry.previous.into(),
            entry.hash.into(),
        ],
    )
    .await?;
    Ok(())
}

/// The select list that [`entry`] reads.
const ENTRY: &str =
    "number, at, actor, actor_id, address, action, target, before, after, request_id, previous, hash";

fn entry(row: &mut Row) -> Result<AuditEntry, CatalogError> {
    fn json(text: Option<String>) -> Result<Option<Json>, CatalogError> {
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|e| CatalogError::Shape(format!("an audit row holds broken JSON: {e}")))
    }
    Ok(AuditEntry {
        number: row.take()?,
        time: row.take()?,
        actor: row.take()?,
        actor_id: row.take()?,
        address: row.take()?,
        action: row.take()?,
        target: row.take()?,
        before: json(row.take()?)?,
        after: json(row.take()?)?,
        request_id: row.take()?,
        previous: row.take()?,
        hash: row.take()?,
    })
}

/// Entries after a number, in order, at most `limit`.
pub async fn entries(tx: &mut Tx, after: i64, limit: i64) -> Result<Vec<AuditEntry>, CatalogError> {
    let sql = format!("select {ENTRY} from audit where number > $1 order by number limit $2");
    let rows = tx.query(&sql, &[after.into(), limit.into()]).await?;
    rows.into_iter().map(|mut row| entry(&mut row)).collect()
}

/// Chains the rows of a database that comes from a version without a chain.
pub(super) async fn seal(tx: &mut Tx) -> Result<(), CatalogError> {
    const BATCH: i64 = 1000;
    let (mut last, mut head) = (-1, FIRST.to_owned());
    loop {
        let rows = entries(tx, last, BATCH).await?;
        for mut entry in rows.iter().cloned() {
            entry.previous = head;
            entry.hash = entry.expected_hash();
            tx.execute(
                "update audit set previous = $2, hash = $3 where number = $1",
                &[entry.number.into(), entry.previous.into(), entry.hash.as_str().into()],
            )
            .await?;
            (last, head) = (entry.number, entry.hash);
        }
        if rows.len() < BATCH as usize {
            break;
        }
    }
    tx.execute("update tenant set head = $1", &[head.into()]).await?;
    Ok(())
}

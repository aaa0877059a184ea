//! The audit log's rows: one for every change, written in the transaction that makes the change and chained to the
//! row before.

use jumpbag_wire::audit::{AuditEntry, FIRST, RESTORE, canonical};
use jumpbag_wire::time::Timestamp;
use serde_json::Value as Json;

use super::value::{Row, Value};
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
    let row = chained(now, actor, turn.number, turn.previous, change);
    tx.execute(
        "update tenant set head = $1, files = $2, bytes = $3",
        &[row.entry.hash.as_str().into(), turn.files.into(), turn.bytes.into()],
    )
    .await?;
    insert(tx, row).await
}

/// An entry about to be written, with what it holds as JSON written out already.
struct Written {
    entry: AuditEntry,
    before: Option<String>,
    after: Option<String>,
}

fn chained(now: Timestamp, actor: &Actor, number: i64, previous: String, change: Change<'_>) -> Written {
    let (before, after) = (change.before.as_ref().map(canonical), change.after.as_ref().map(canonical));
    let mut entry = AuditEntry {
        number,
        time: now,
        actor: actor.name.clone(),
        actor_id: actor.id.clone(),
        address: actor.address.clone(),
        action: change.action.to_owned(),
        target: change.target.to_owned(),
        before: None,
        after: None,
        request_id: actor.request_id.clone(),
        previous,
        hash: String::new(),
    };
    entry.hash = entry.hash_with(before.as_deref().unwrap_or("null"), after.as_deref().unwrap_or("null"));
    Written { entry, before, after }
}

async fn insert(tx: &mut Tx, row: Written) -> Result<(), CatalogError> {
    let Written { entry, before, after } = row;
    tx.execute(
        "insert into audit (number, at, actor, actor_id, address, action, target, before, after, request_id, \
         previous, hash) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        &[
            entry.number.into(),
            entry.time.into(),
            entry.actor.into(),
            entry.actor_id.into(),
            entry.address.into(),
            entry.action.into(),
            entry.target.into(),
            before.into(),
            after.into(),
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
    examine(tx, after, limit).await?.into_iter().map(|(_, entry)| entry).collect()
}

/// Like [`entries`], for whoever wants to know which row it is that makes no sense.
pub async fn examine(tx: &mut Tx, after: i64, limit: i64) -> Result<Vec<Examined>, CatalogError> {
    let sql = format!("select number, {ENTRY} from audit where number > $1 order by number limit $2");
    let rows = tx.query(&sql, &[after.into(), limit.into()]).await?;
    rows.into_iter().map(|mut row| Ok((row.take()?, entry(&mut row)))).collect()
}

/// A row's number, and the entry in it if there is one.
pub type Examined = (i64, Result<AuditEntry, CatalogError>);

/// Which entries a list is made of.
pub struct Page {
    /// A condition over the columns of `audit`, and its parameters.
    pub filter: Option<(String, Vec<Value>)>,
    /// Behind this number, in the direction of the list.
    pub behind: Option<i64>,
    pub descending: bool,
    pub limit: u64,
    pub offset: u64,
}

impl Page {
    fn conditions(&self) -> (String, Vec<Value>) {
        let (filter, mut params) = match &self.filter {
            Some((sql, params)) => (sql.as_str(), params.clone()),
            None => ("true", Vec::new()),
        };
        let mut sql = format!("({filter})");
        if let Some(behind) = self.behind {
            params.push(behind.into());
            let direction = if self.descending { "<" } else { ">" };
            sql.push_str(&format!(" and number {direction} ${}", params.len()));
        }
        (sql, params)
    }
}

/// The entries of a page.
pub async fn list(tx: &mut Tx, page: &Page) -> Result<Vec<AuditEntry>, CatalogError> {
    let (conditions, params) = page.conditions();
    let direction = if page.descending { "desc" } else { "asc" };
    let sql = format!(
        "select {ENTRY} from audit where {conditions} order by number {direction} limit {} offset {}",
        page.limit, page.offset
    );
    let rows = tx.query(&sql, &params).await?;
    rows.into_iter().map(|mut row| entry(&mut row)).collect()
}

/// How many entries meet the page's conditions.
pub async fn count(tx: &mut Tx, page: &Page) -> Result<u64, CatalogError> {
    let (conditions, params) = page.conditions();
    let sql = format!("select count(*) from audit where {conditions}");
    Ok(tx.one(&sql, &params).await?.take::<i64>()?.unsigned_abs())
}

/// The log at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub tenant: String,
    /// The number of the last change and the hash of its row, as the tenant's row has them.
    pub number: i64,
    pub hash: String,
    /// The highest number among the rows, and among the checkpoints; 0 where there are none.
    pub last: i64,
    pub sealed: i64,
}

/// Where the log ends, or `None` where nothing has begun.
pub async fn head(tx: &mut Tx) -> Result<Option<Head>, CatalogError> {
    let sql = "select id, change, head, coalesce((select max(number) from audit), 0), \
               coalesce((select max(number) from checkpoints), 0) from tenant";
    let Some(mut row) = tx.first(sql, &[]).await? else { return Ok(None) };
    Ok(Some(Head {
        tenant: row.take()?,
        number: row.take()?,
        hash: row.take()?,
        last: row.take()?,
        sealed: row.take()?,
    }))
}

/// Chains the rows of a database that comes from a version without a chain. A restore left a gap there and no row:
/// the row is added, so that every gap is told of.
pub(super) async fn seal(tx: &mut Tx) -> Result<(), CatalogError> {
    const BATCH: i64 = 1000;
    let Some(mut tenant) = tx.first("select change, created_at from tenant", &[]).await? else {
        return Ok(());
    };
    let (change, created): (i64, Timestamp) = (tenant.take()?, tenant.take()?);
    let (mut last, mut head, mut time) = (0, FIRST.to_owned(), created);
    loop {
        let rows = entries(tx, last, BATCH).await?;
        for mut entry in rows.iter().cloned() {
            if entry.number > last + 1 {
                head = tell_of_gap(tx, last, entry.number - 1, entry.time, head).await?;
            }
            entry.previous = head;
            entry.hash = entry.expected_hash();
            tx.execute(
                "update audit set previous = $2, hash = $3 where number = $1",
                &[entry.number.into(), entry.previous.into(), entry.hash.as_str().into()],
            )
            .await?;
            (last, head, time) = (entry.number, entry.hash, entry.time);
        }
        if rows.len() < BATCH as usize {
            break;
        }
    }
    if change > last {
        head = tell_of_gap(tx, last, change, time, head).await?;
    }
    tx.execute("update tenant set head = $1", &[head.into()]).await?;
    Ok(())
}

/// Writes the row of a restore that left out the numbers from `last` to `number`; its hash.
async fn tell_of_gap(
    tx: &mut Tx,
    last: i64,
    number: i64,
    time: Timestamp,
    previous: String,
) -> Result<String, CatalogError> {
    let actor = Actor { name: "upgrade".into(), ..Actor::operator("upgrade") };
    let change = Change {
        action: RESTORE,
        target: "catalog",
        before: Some(serde_json::json!({ "number": last })),
        after: None,
    };
    let row = chained(time, &actor, number, previous, change);
    let hash = row.entry.hash.clone();
    insert(tx, row).await?;
    Ok(hash)
}

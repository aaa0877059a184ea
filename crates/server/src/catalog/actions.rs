//! Rows of machine actions, their commands and what these put out.

use bytes::Bytes;
use jumpbag_wire::action::{ActionStatus, CommandStatus, CommandType, Param, PinnedFile};
use jumpbag_wire::agent::{OutputEnd, Stream};
use jumpbag_wire::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::audit::Turn;
use super::contents::{self, Place};
use super::machines::Page;
use super::value::{FromValue, Row, Value};
use super::{CatalogError, Tx};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionRow {
    /// The change that made it.
    pub number: i64,
    pub id: String,
    pub machine: String,
    pub machine_name: String,
    pub status: ActionStatus,
    pub requestor: String,
    pub requestor_id: String,
    pub comment: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub cancelled_by: Option<String>,
    pub cancel_comment: Option<String>,
    pub cancelled_at: Option<Timestamp>,
    /// It must not begin after this.
    pub deadline: Timestamp,
    pub commands: Vec<CommandRow>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRow {
    pub number: i64,
    pub kind: CommandType,
    /// As they were asked for.
    pub params: Vec<Param>,
    pub args: Vec<String>,
    pub path: Option<String>,
    pub status: CommandStatus,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub errors: Vec<String>,
    pub exit_code: Option<i64>,
    pub file: Option<PinnedFile>,
    /// While the action is not final.
    pub content: Option<i64>,
    /// How much it put out, once it has ended.
    pub ends: Option<Vec<OutputEnd>>,
}

impl CommandRow {
    pub fn has_ended(&self) -> bool {
        matches!(self.status, CommandStatus::Completed | CommandStatus::Failed)
    }
}

fn text(value: &impl Serialize) -> Value {
    // Plain data turns into JSON.
    serde_json::to_value(value).unwrap_or_default().to_string().into()
}

fn name(value: &impl Serialize) -> Value {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name.into(),
        _ => Value::Null,
    }
}

fn json<T: DeserializeOwned>(row: &mut Row) -> Result<T, CatalogError> {
    let text: String = row.take()?;
    serde_json::from_str(&text).map_err(|e| CatalogError::Shape(format!("`{text}`: {e}")))
}

macro_rules! by_name {
    ($($type:ty),*) => {$(
        impl FromValue for $type {
            fn from_value(value: Value) -> Result<Self, CatalogError> {
                let name = String::from_value(value)?;
                serde_json::from_value(name.clone().into())
                    .map_err(|_| CatalogError::Shape(format!("`{name}` is none of them")))
            }
        }
    )*};
}
by_name!(ActionStatus, CommandStatus, CommandType);

fn number_of(stream: Stream) -> i64 {
    match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
        Stream::File => 3,
    }
}

/// Enters an action with its commands.
pub async fn insert(tx: &mut Tx, action: &ActionRow) -> Result<(), CatalogError> {
    tx.execute(
        "insert into actions (number, id, machine, machine_name, status, requestor, requestor_id, comment, created_at, \
         updated_at, deadline) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)",
        &[
            action.number.into(),
            action.id.as_str().into(),
            action.machine.as_str().into(),
            action.machine_name.as_str().into(),
            name(&action.status),
            action.requestor.as_str().into(),
            action.requestor_id.as_str().into(),
            action.comment.as_str().into(),
            action.created_at.into(),
            action.deadline.into(),
        ],
    )
    .await?;
    for command in &action.commands {
        let file = command.file.as_ref();
        tx.execute(
            "insert into commands (action, number, kind, params, args, path, status, errors, file, version, file_name, \
             sha256, size, content) values ($1, $2, $3, $4, $5, $6, $7, '[]', $8, $9, $10, $11, $12, $13)",
            &[
                action.number.into(),
                command.number.into(),
                name(&command.kind),
                text(&command.params),
                text(&command.args),
                command.path.clone().into(),
                name(&command.status),
                file.and_then(|file| file.id.parse::<i64>().ok()).into(),
                file.map(|file| file.version as i64).into(),
                file.map(|file| file.file_name.clone()).into(),
                file.map(|file| file.sha256.clone()).into(),
                file.map(|file| file.size as i64).into(),
                command.content.into(),
            ],
        )
        .await?;
    }
    Ok(())
}

const ACTION: &str = "a.number, a.id, a.machine, a.machine_name, a.status, a.requestor, a.requestor_id, a.comment, \
                      a.created_at, a.updated_at, a.cancelled_by, a.cancel_comment, a.cancelled_at, a.deadline";

async fn action(tx: &mut Tx, mut row: Row) -> Result<ActionRow, CatalogError> {
    let number = row.take()?;
    let sql = "select number, kind, params, args, path, status, started_at, ended_at, errors, exit_code, file, version, \
               file_name, sha256, size, content, ends from commands where action = $1 order by number";
    let rows = tx.query(sql, &[Value::Int(number)]).await?;
    Ok(ActionRow {
        number,
        id: row.take()?,
        machine: row.take()?,
        machine_name: row.take()?,
        status: row.take()?,
        requestor: row.take()?,
        requestor_id: row.take()?,
        comment: row.take()?,
        created_at: row.take()?,
        updated_at: row.take()?,
        cancelled_by: row.take()?,
        cancel_comment: row.take()?,
        cancelled_at: row.take()?,
        deadline: row.take()?,
        commands: rows.into_iter().map(command).collect::<Result<_, _>>()?,
    })
}

fn command(mut row: Row) -> Result<CommandRow, CatalogError> {
    let (number, kind, params, args) = (row.take()?, row.take()?, json(&mut row)?, json(&mut row)?);
    let (path, status, started_at, ended_at) = (row.take()?, row.take()?, row.take()?, row.take()?);
    let (errors, exit_code) = (json(&mut row)?, row.take()?);
    let (file, version): (Option<i64>, Option<i64>) = (row.take()?, row.take()?);
    let (file_name, sha256): (Option<String>, Option<String>) = (row.take()?, row.take()?);
    let (size, content): (Option<i64>, Option<i64>) = (row.take()?, row.take()?);
    let ends: Option<String> = row.take()?;
    let ends = ends.map(|ends| serde_json::from_str(&ends)).transpose();
    Ok(CommandRow {
        number,
        kind,
        params,
        args,
        path,
        status,
        started_at,
        ended_at,
        errors,
        exit_code,
        file: match (file, version, file_name, sha256, size) {
            (Some(file), Some(version), Some(file_name), Some(sha256), Some(size)) => Some(PinnedFile {
                file_name,
                id: file.to_string(),
                version: version.unsigned_abs(),
                sha256,
                size: size.unsigned_abs(),
            }),
            _ => None,
        },
        content,
        ends: ends.map_err(|e| CatalogError::Shape(format!("ends of a command: {e}")))?,
    })
}

/// Whole actions, of rows of [`ACTION`].
async fn all(tx: &mut Tx, sql: &str, params: &[Value]) -> Result<Vec<ActionRow>, CatalogError> {
    let rows = tx.query(sql, params).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        found.push(action(tx, row).await?);
    }
    Ok(found)
}

async fn first(tx: &mut Tx, tail: &str, params: &[Value]) -> Result<Option<ActionRow>, CatalogError> {
    match tx.first(&format!("select {ACTION} from actions a where {tail}"), params).await? {
        None => Ok(None),
        Some(row) => action(tx, row).await.map(Some),
    }
}

pub async fn find(tx: &mut Tx, id: &str) -> Result<Option<ActionRow>, CatalogError> {
    first(tx, "a.id = $1", &[id.into()]).await
}

const OPEN: &str = "a.status in ('Pending', 'InProgress')";

/// The oldest action of a machine that is not final.
pub async fn open(tx: &mut Tx, machine: &str) -> Result<Option<ActionRow>, CatalogError> {
    first(tx, &format!("a.machine = $1 and {OPEN} order by a.number limit 1"), &[machine.into()]).await
}

/// How many actions are not final, counted up to a limit.
pub async fn count_open(tx: &mut Tx, limit: i64) -> Result<u64, CatalogError> {
    let sql = format!("select count(*) from (select 1 from actions a where {OPEN} limit $1) counted");
    Ok(tx.one(&sql, &[limit.into()]).await?.take::<i64>()?.unsigned_abs())
}

/// Machines with an action that a change after this one made or ended.
pub async fn touched(tx: &mut Tx, after: i64) -> Result<Vec<String>, CatalogError> {
    let sql = "select a.machine from actions a where a.number > $1 \
               union select a.machine from actions a where a.ended > $1";
    let rows = tx.query(sql, &[after.into()]).await?;
    rows.into_iter().map(|mut row| row.take()).collect()
}

/// Actions that are not final although their time is over: pending ones after their deadline, others that began
/// before `begun`.
pub async fn overdue(
    tx: &mut Tx,
    now: Timestamp,
    begun: Timestamp,
    limit: i64,
) -> Result<Vec<ActionRow>, CatalogError> {
    let sql = format!(
        "select {ACTION} from actions a where (a.status = 'Pending' and a.deadline < $1) \
         or (a.status = 'InProgress' and a.updated_at < $2) order by a.number limit $3"
    );
    all(tx, &sql, &[now.into(), begun.into(), limit.into()]).await
}

/// Actions that became final before a time, at most `limit`, the oldest first.
pub async fn final_before(
    tx: &mut Tx,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<ActionRow>, CatalogError> {
    let sql = format!(
        "select {ACTION} from actions a where a.status not in ('Pending', 'InProgress') and a.updated_at < $1 \
         order by a.updated_at, a.number limit $2"
    );
    all(tx, &sql, &[before.into(), limit.into()]).await
}

/// Removes a final action with its commands and all they put out. Blobs of these become garbage.
pub async fn remove(tx: &mut Tx, action: i64, now: Timestamp) -> Result<(), CatalogError> {
    let number = [action.into()];
    let blobs = tx.query("select blob from output where action = $1 and blob is not null", &number).await?;
    for mut blob in blobs {
        contents::discard(tx, &blob.take::<String>()?, now).await?;
    }
    for table in ["output", "commands"] {
        tx.execute(&format!("delete from {table} where action = $1"), &number).await?;
    }
    tx.execute("delete from actions where number = $1", &number).await?;
    Ok(())
}

/// Actions, the newest first after the order that is asked for.
pub async fn list(tx: &mut Tx, page: &Page) -> Result<Vec<ActionRow>, CatalogError> {
    let (conditions, mut params) = page.conditions();
    let tail = page.tail("a.number desc", &mut params);
    all(tx, &format!("select {ACTION} from actions a where 1 = 1{conditions}{tail}"), &params).await
}

pub async fn count(tx: &mut Tx, page: &Page) -> Result<u64, CatalogError> {
    let (conditions, params) = page.conditions();
    let sql = format!("select count(*) from actions a where 1 = 1{conditions}");
    Ok(tx.one(&sql, &params).await?.take::<i64>()?.unsigned_abs())
}

/// Writes down where an action is.
pub async fn set_status(
    tx: &mut Tx,
    action: i64,
    status: ActionStatus,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let sql = "update actions set status = $2, updated_at = $3 where number = $1";
    tx.execute(sql, &[action.into(), name(&status), now.into()]).await?;
    Ok(())
}

/// Writes down the change that gave an action its final status.
pub async fn set_ended(tx: &mut Tx, action: i64, change: i64) -> Result<(), CatalogError> {
    tx.execute("update actions set ended = $2 where number = $1", &[action.into(), change.into()]).await?;
    Ok(())
}

/// Who ended an action, and why.
pub async fn set_cancelled(
    tx: &mut Tx,
    action: i64,
    by: &str,
    comment: &str,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let sql =
        "update actions set cancelled_by = $2, cancel_comment = $3, cancelled_at = $4 where number = $1";
    tx.execute(sql, &[action.into(), by.into(), comment.into(), now.into()]).await?;
    Ok(())
}

/// Writes down where a command is.
pub async fn set_command(tx: &mut Tx, action: i64, command: &CommandRow) -> Result<(), CatalogError> {
    tx.execute(
        "update commands set status = $3, started_at = $4, ended_at = $5, errors = $6, exit_code = $7, ends = $8 \
         where action = $1 and number = $2",
        &[
            action.into(),
            command.number.into(),
            name(&command.status),
            command.started_at.into(),
            command.ended_at.into(),
            text(&command.errors),
            command.exit_code.into(),
            command.ends.as_ref().map(text).unwrap_or(Value::Null),
        ],
    )
    .await?;
    Ok(())
}

/// Lets go of the contents that a final action was bound to.
pub async fn unpin(tx: &mut Tx, turn: &mut Turn, action: i64, now: Timestamp) -> Result<(), CatalogError> {
    let sql = "select distinct content from commands where action = $1 and content is not null";
    let rows = tx.query(sql, &[action.into()]).await?;
    tx.execute("update commands set content = null where action = $1", &[action.into()]).await?;
    for mut row in rows {
        contents::free(tx, turn, row.take()?, now).await?;
    }
    Ok(())
}

/// One stream of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutputId {
    pub action: i64,
    pub command: i64,
    pub stream: Stream,
}

impl OutputId {
    fn params(self) -> Vec<Value> {
        vec![self.action.into(), self.command.into(), number_of(self.stream).into()]
    }
}

const OUTPUT: &str = "from output where action = $1 and command = $2 and stream = $3";

/// How many bytes of a stream there are.
pub async fn output_size(tx: &mut Tx, id: OutputId) -> Result<u64, CatalogError> {
    let sql = format!("select start + size {OUTPUT} order by start desc limit 1");
    let row = tx.first(&sql, &id.params()).await?;
    Ok(row.map(|mut row| row.take::<i64>()).transpose()?.unwrap_or(0).unsigned_abs())
}

/// Adds a piece at the end of a stream; `false` when its end is elsewhere.
pub async fn append_output(
    tx: &mut Tx,
    id: OutputId,
    start: u64,
    size: u64,
    place: &Place,
) -> Result<bool, CatalogError> {
    if output_size(tx, id).await? != start {
        return Ok(false);
    }
    let (bytes, blob) = match place {
        Place::Inline(bytes) => (Value::Bytes(bytes.clone()), Value::Null),
        Place::Blob(key) => (Value::Null, Value::Text(key.clone())),
    };
    let mut params = id.params();
    params.extend([(start as i64).into(), (size as i64).into(), bytes, blob]);
    let sql = "insert into output (action, command, stream, start, size, bytes, blob) values ($1, $2, $3, $4, $5, $6, $7)";
    tx.execute(sql, &params).await?;
    Ok(true)
}

/// The piece of a stream that holds the byte at an offset, and where it begins.
pub async fn output_at(
    tx: &mut Tx,
    id: OutputId,
    offset: u64,
) -> Result<Option<(u64, u64, Place)>, CatalogError> {
    let mut params = id.params();
    params.push((offset as i64).into());
    let sql = format!(
        "select start, size, bytes, blob {OUTPUT} and start <= $4 and start + size > $4 order by start desc limit 1"
    );
    let Some(mut row) = tx.first(&sql, &params).await? else { return Ok(None) };
    let (start, size): (i64, i64) = (row.take()?, row.take()?);
    let (bytes, blob): (Option<Bytes>, Option<String>) = (row.take()?, row.take()?);
    let place = match (bytes, blob) {
        (Some(bytes), _) => Place::Inline(bytes),
        (None, Some(key)) => Place::Blob(key),
        (None, None) => return Err(CatalogError::Shape("a piece of output is nowhere".into())),
    };
    Ok(Some((start.unsigned_abs(), size.unsigned_abs(), place)))
}

/// Blobs of output in the order of their names, after one, at most `limit`, and how many bytes each has.
pub async fn output_blobs(tx: &mut Tx, after: &str, limit: i64) -> Result<Vec<(String, u64)>, CatalogError> {
    let sql = "select blob, size from output where blob > $1 order by blob limit $2";
    let rows = tx.query(sql, &[after.into(), limit.into()]).await?;
    rows.into_iter().map(|mut row| Ok((row.take()?, row.take::<i64>()?.unsigned_abs()))).collect()
}

/// Where a version of a library file ran: actions, the newest first, at most `limit`.
pub async fn runs(tx: &mut Tx, file: i64, version: i64, limit: i64) -> Result<Vec<ActionRow>, CatalogError> {
    let sql = format!(
        "select {ACTION} from actions a where a.number in \
         (select c.action from commands c where c.file = $1 and c.version = $2) order by a.number desc limit $3"
    );
    all(tx, &sql, &[file.into(), version.into(), limit.into()]).await
}

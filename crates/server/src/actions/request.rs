//! What somebody asks a machine to do: read, checked, and bound to the library.

use jumpbag_wire::action::{ActionStatus, CommandStatus, CommandType, Param, PinnedFile};
use jumpbag_wire::time::Timestamp;
use serde_json::{Value, json};

use super::Rules;
use super::args::split;
use crate::catalog::actions::{self, ActionRow, CommandRow};
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::{Tx, history};
use crate::error::Error;
use crate::library::name;
use crate::machines::by_id_or_name;

/// Commands of an action.
const MAX_COMMANDS: usize = 20;
/// Bytes of a comment, of arguments and of a path.
const MAX_TEXT: usize = 16 * 1024;
/// Arguments of a script.
const MAX_ARGS: usize = 256;

/// A checked request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAction {
    pub comment: String,
    pub commands: Vec<NewCommand>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommand {
    pub kind: CommandType,
    /// As they were asked for.
    pub params: Vec<Param>,
    /// Of a script.
    pub args: Vec<String>,
}

/// A member of an object by its name, letter case aside.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn incorrect<T>(why: String) -> Result<T, Error> {
    Err(Error::InvalidRequestBody(format!("Request body is incorrect: {why}")))
}

impl NewAction {
    /// Reads a request: keys in any letter case.
    ///
    /// # Errors
    /// `InvalidRequestBody` with what is wrong, and where.
    pub fn parse(body: &[u8]) -> Result<NewAction, Error> {
        let body = jumpbag_wire::json::without_mark(body);
        let value: Value = match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(e) => return incorrect(format!("it is not valid JSON: {e}")),
        };
        let comment = match member(&value, "Comment").map(Value::as_str) {
            Some(Some(comment)) if !comment.trim().is_empty() => comment.to_owned(),
            _ => return incorrect("`Comment` must be a string that is not empty".into()),
        };
        if comment.len() > MAX_TEXT || comment.contains('\0') {
            return incorrect(format!("`Comment` has more than {MAX_TEXT} bytes, or holds U+0000"));
        }
        let Some(commands) = member(&value, "Commands").and_then(Value::as_array) else {
            return incorrect("`Commands` must be an array".into());
        };
        if !(1..=MAX_COMMANDS).contains(&commands.len()) {
            return incorrect(format!("`Commands` has {}; 1 to {MAX_COMMANDS} are allowed", commands.len()));
        }
        let commands = commands.iter().enumerate().map(|(index, command)| NewCommand::read(index, command));
        let commands = commands.collect::<Result<Vec<_>, _>>()?;
        if !commands.is_sorted_by_key(|command| command.kind) {
            return incorrect("commands must come in the order PutFile, RunScript, GetFile".into());
        }
        Ok(NewAction { comment, commands })
    }
}

impl NewCommand {
    fn read(index: usize, value: &Value) -> Result<NewCommand, Error> {
        let at = format!("`Commands[{index}]`");
        let kind = member(value, "type").and_then(Value::as_str).unwrap_or_default();
        let kinds = [
            ("PutFile", CommandType::PutFile),
            ("RunScript", CommandType::RunScript),
            ("GetFile", CommandType::GetFile),
        ];
        let Some((_, kind)) = kinds.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(kind)) else {
            return incorrect(format!("{at}: `type` must be PutFile, RunScript or GetFile"));
        };
        let allowed: &[&str] = match kind {
            CommandType::PutFile => &["FileName"],
            CommandType::RunScript => &["ScriptName", "Args", "ArgsList"],
            CommandType::GetFile => &["Path"],
        };
        let needed = allowed[0];
        let mut params: Vec<Param> = Vec::new();
        let mut args = None;
        for param in member(value, "params").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
        {
            let key = member(param, "key").and_then(Value::as_str).unwrap_or_default();
            let Some(&key) = allowed.iter().find(|name| name.eq_ignore_ascii_case(key)) else {
                return incorrect(format!("{at}: a key of `params` must be one of {}", allowed.join(", ")));
            };
            let text = match member(param, "value") {
                Some(Value::String(text)) if key != "ArgsList" => text.clone(),
                Some(Value::Array(list)) if key == "ArgsList" => {
                    args = Some(strings(&at, list)?);
                    Value::Array(list.clone()).to_string()
                }
                Some(Value::Null) | None if key == "Args" => String::new(),
                _ if key == "ArgsList" => {
                    return incorrect(format!("{at}: `ArgsList` must be an array of strings"));
                }
                _ => return incorrect(format!("{at}: the value of `{key}` must be a string")),
            };
            if text.len() > MAX_TEXT || text.contains('\0') {
                return incorrect(format!(
                    "{at}: the value of `{key}` has more than {MAX_TEXT} bytes, or holds U+0000"
                ));
            }
            if params.iter().any(|known| known.key == key) {
                return incorrect(format!("{at}: `{key}` is there twice"));
            }
            params.push(Param { key: key.to_owned(), value: text });
        }
        let value_of = |key: &str| params.iter().find(|param| param.key == key);
        if value_of(needed).is_none_or(|param| param.value.is_empty()) {
            return incorrect(format!("{at}: `params` must have `{needed}`, and it must not be empty"));
        }
        let args = match (args, value_of("Args")) {
            (Some(_), Some(_)) => {
                return incorrect(format!("{at}: `Args` and `ArgsList` do not go together: send one"));
            }
            (Some(list), None) => list,
            (None, Some(text)) => split(&text.value).or_else(|why| incorrect(format!("{at}: {why}")))?,
            (None, None) => Vec::new(),
        };
        if args.len() > MAX_ARGS {
            return incorrect(format!("{at}: {} arguments; at most {MAX_ARGS} are allowed", args.len()));
        }
        Ok(NewCommand { kind, params, args })
    }

    fn value_of(&self, key: &str) -> Option<&str> {
        self.params.iter().find(|param| param.key == key).map(|param| param.value.as_str())
    }

    /// The library file that it names.
    fn file(&self) -> Option<&str> {
        self.value_of("FileName").or_else(|| self.value_of("ScriptName"))
    }
}

fn strings(at: &str, list: &[Value]) -> Result<Vec<String>, Error> {
    let strings =
        list.iter().map(|item| item.as_str().filter(|text| !text.contains('\0')).map(str::to_owned));
    match strings.collect() {
        Some(strings) => Ok(strings),
        None => incorrect(format!("{at}: `ArgsList` must be an array of strings without U+0000")),
    }
}

/// Makes the action.
pub(super) async fn commit(
    tx: &mut Tx,
    machine: String,
    new: NewAction,
    rules: Rules,
    actor: Actor,
    now: Timestamp,
) -> Result<ActionRow, Error> {
    let turn = audit::turn(tx).await?;
    let machine = by_id_or_name(tx, &machine).await?;
    if !rules.queue
        && let Some(active) = actions::open(tx, &machine.id).await?
    {
        return Err(Error::ActiveRequest(format!(
            "Action {} is already in progress on machine {}",
            active.id, machine.id
        )));
    }
    let limit = i64::try_from(rules.sessions).unwrap_or(i64::MAX);
    if actions::count_open(tx, limit).await? >= rules.sessions {
        return Err(Error::TooManyRequests(
            format!("Too many requests: {} live response sessions are open already", rules.sessions),
            60,
        ));
    }
    let mut commands = Vec::with_capacity(new.commands.len());
    for (number, command) in new.commands.into_iter().enumerate() {
        commands.push(bound(tx, number as i64, command).await?);
    }
    let row = ActionRow {
        number: turn.number,
        id: uuid::Uuid::new_v4().to_string(),
        machine: machine.id,
        machine_name: machine.facts.computer_dns_name,
        status: ActionStatus::Pending,
        requestor: actor.name.clone(),
        requestor_id: actor.id.clone(),
        comment: new.comment,
        created_at: now,
        updated_at: now,
        cancelled_by: None,
        cancel_comment: None,
        cancelled_at: None,
        deadline: now.plus_secs(rules.queue_seconds),
        commands,
    };
    actions::insert(tx, &row).await?;
    let recorded: Vec<_> = row
        .commands
        .iter()
        .map(|command| json!({ "type": command.kind, "params": command.params, "libraryFile": command.file }))
        .collect();
    let change = Change {
        action: "action.create",
        target: &row.id,
        before: None,
        after: Some(json!({ "machine": row.machine, "comment": row.comment, "commands": recorded })),
    };
    audit::append(tx, now, &actor, turn, change).await?;
    Ok(row)
}

/// A command bound to the library file that it names.
async fn bound(tx: &mut Tx, number: i64, command: NewCommand) -> Result<CommandRow, Error> {
    let (mut file, mut content) = (None, None);
    if let Some(wanted) = command.file() {
        let missing = || {
            Error::InvalidInput(format!(
                "Library file {wanted} was not found: upload it to the library first"
            ))
        };
        let living = history::living(tx, &name::key(wanted)).await?.ok_or_else(missing)?;
        let version = history::version(tx, living.id, living.version).await?.ok_or_else(missing)?;
        content = Some(version.content);
        file = Some(PinnedFile {
            file_name: version.name,
            id: living.id.to_string(),
            version: version.number.unsigned_abs(),
            sha256: version.sha256,
            size: version.size,
        });
    }
    Ok(CommandRow {
        number,
        kind: command.kind,
        path: command.value_of("Path").map(str::to_owned),
        params: command.params,
        args: command.args,
        status: CommandStatus::Created,
        started_at: None,
        ended_at: None,
        errors: Vec::new(),
        exit_code: None,
        file,
        content,
        ends: None,
    })
}

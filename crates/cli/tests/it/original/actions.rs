//! Live response: actions, what they run, and links to what came out. An action takes one step each
//! time somebody looks at it: `Pending`, `InProgress`, and then it has ended.

use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use jumpbag_wire::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{Refusal, entity};
use super::machines::Machine;
use super::world::World;
use super::{Call, Original, Service, odata};

const MAY_READ: [&[&str]; 2] =
    [&["Machine.Read.All", "Machine.ReadWrite.All"], &["Machine.Read", "Machine.ReadWrite"]];
const MAY_RUN: &[&str] = &["Machine.LiveResponse"];

const FIELDS: [&str; 6] = ["id", "status", "machineId", "type", "requestor", "creationDateTimeUtc"];

/// Actions that have not ended, of all machines.
const AT_ONCE: usize = 25;

/// The kinds of commands in the order they must come, each with its keys; the first is required.
const KINDS: [(&str, &[&str]); 3] =
    [("PutFile", &["FileName"]), ("RunScript", &["ScriptName", "Args"]), ("GetFile", &["Path"])];

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    id: String,
    r#type: &'static str,
    title: Option<String>,
    requestor: String,
    requestor_comment: String,
    status: &'static str,
    machine_id: String,
    computer_dns_name: String,
    creation_date_time_utc: Timestamp,
    last_update_date_time_utc: Timestamp,
    cancellation_requestor: Option<String>,
    cancellation_comment: Option<String>,
    cancellation_date_time_utc: Option<Timestamp>,
    error_h_result: i32,
    scope: Option<String>,
    external_id: Option<String>,
    request_source: &'static str,
    related_file_info: Option<String>,
    commands: Vec<Step>,
    troubleshoot_info: Option<String>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    index: usize,
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
    command_status: &'static str,
    errors: Vec<String>,
    command: Command,
    #[serde(skip)]
    result: Option<Bytes>,
}

/// A command as a client sent it. What else was sent is not kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    pub r#type: String,
    pub params: Vec<Param>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    pub key: String,
    pub value: String,
}

impl Command {
    /// The value of a parameter.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.params.iter().find(|param| param.key == key).map(|param| param.value.as_str())
    }
}

/// All actions, oldest first.
#[derive(Default)]
pub struct Actions {
    all: Vec<Action>,
    held: bool,
}

impl Original {
    /// Every command that was accepted so far, each with the name of its machine.
    pub fn commands_seen(&self) -> Vec<(String, Command)> {
        let state = self.state();
        let of = |action: &Action| {
            let name = action.computer_dns_name.clone();
            action.commands.iter().map(move |step| (name.clone(), step.command.clone())).collect::<Vec<_>>()
        };
        state.actions.all.iter().flat_map(of).collect()
    }

    /// Actions stay as they are, however often they are looked at, as if all machines were asleep.
    pub fn hold_actions(&self) {
        self.state().actions.held = true;
    }

    /// They go on.
    pub fn release_actions(&self) {
        self.state().actions.held = false;
    }
}

impl Action {
    fn new(machine: &Machine, comment: &str, requestor: String, commands: Vec<Command>) -> Action {
        let now = Timestamp::now();
        let step = |(index, command)| Step {
            index,
            start_time: None,
            end_time: None,
            command_status: "Created",
            errors: Vec::new(),
            command,
            result: None,
        };
        Action {
            id: Uuid::new_v4().to_string(),
            r#type: "LiveResponse",
            title: None,
            requestor,
            requestor_comment: comment.to_owned(),
            status: "Pending",
            machine_id: machine.id.clone(),
            computer_dns_name: machine.name.clone(),
            creation_date_time_utc: now,
            last_update_date_time_utc: now,
            cancellation_requestor: None,
            cancellation_comment: None,
            cancellation_date_time_utc: None,
            error_h_result: 0,
            scope: None,
            external_id: None,
            request_source: "PublicApi",
            related_file_info: None,
            commands: commands.into_iter().enumerate().map(step).collect(),
            troubleshoot_info: None,
        }
    }

    fn is_active(&self) -> bool {
        ["Pending", "InProgress"].contains(&self.status)
    }

    fn shown(&self) -> String {
        serde_json::to_string(self).expect("an action has a JSON form")
    }

    /// One step on. In the last one everything runs, up to the first command that fails.
    fn step(&mut self, world: &World) {
        self.last_update_date_time_utc = Timestamp::now();
        if self.status == "Pending" {
            self.status = "InProgress";
            return;
        }
        self.status = "Succeeded";
        for step in &mut self.commands {
            step.start_time = Some(Timestamp::now());
            let (result, error) = world.run(&step.command);
            step.end_time = Some(Timestamp::now());
            step.result = result;
            step.errors.extend(error);
            step.command_status = if step.errors.is_empty() { "Completed" } else { "Failed" };
            if !step.errors.is_empty() {
                self.status = "Failed";
                return;
            }
        }
    }
}

impl Actions {
    fn find(&mut self, id: &str) -> Result<&mut Action, Refusal> {
        let found = self.all.iter_mut().find(|action| action.id.eq_ignore_ascii_case(id));
        found.ok_or_else(|| Refusal::no_such("Machine action", id))
    }

    /// Somebody looks at the actions that `seen` picks.
    fn look(&mut self, world: &World, seen: impl Fn(&Action) -> bool) {
        let held = self.held;
        for action in self.all.iter_mut().filter(|action| !held && action.is_active() && seen(action)) {
            action.step(world);
        }
    }
}

/// `/api/machines/{id}/runliveresponse`
pub(super) fn run(service: &Service, call: &Call, machine: &str) -> Result<Response, Refusal> {
    if call.method != Method::POST {
        return Err(Refusal::method("POST"));
    }
    let grant = service.let_in(call, MAY_RUN, MAY_RUN)?;
    service.count_call("runliveresponse")?;
    let body: Value = serde_json::from_slice(&call.body).map_err(|_| Refusal::body())?;
    let comment = body["Comment"].as_str().filter(|comment| !comment.is_empty());
    let comment = comment.ok_or_else(|| Refusal::missing("Comment"))?;
    let commands = body.get("Commands").ok_or_else(|| Refusal::missing("Commands"))?;
    let commands: Vec<Command> = serde_json::from_value(commands.clone()).map_err(|_| Refusal::body())?;
    check(&commands)?;
    let state = &mut *service.state();
    let machine = state.machines.with_id(machine).ok_or_else(|| Refusal::no_such("Machine", machine))?;
    for name in
        commands.iter().filter_map(|command| command.param("FileName").or(command.param("ScriptName")))
    {
        if !state.library.has(name) {
            return Err(Refusal::new(
                400,
                "InvalidInput",
                format!("Invalid input {name}: not in the library"),
            ));
        }
    }
    let mut active = state.actions.all.iter().filter(|action| action.is_active());
    if active.clone().any(|action| action.machine_id == machine.id) {
        return Err(Refusal::new(400, "ActiveRequestAlreadyExists", "Action is already in progress"));
    }
    if active.nth(AT_ONCE - 1).is_some() {
        return Err(Refusal::too_many(60));
    }
    let action = Action::new(machine, comment, grant.requestor, commands);
    let shown = action.shown();
    state.actions.all.push(action);
    Ok(entity(call, StatusCode::CREATED, "MachineActions/$entity", &shown))
}

/// The kinds come in their order, each with its own keys, once.
fn check(commands: &[Command]) -> Result<(), Refusal> {
    let invalid = |what: &str| Refusal::new(400, "InvalidInput", format!("Invalid input {what}"));
    let mut last = 0;
    for command in commands {
        let kind = KINDS
            .iter()
            .position(|(kind, _)| *kind == command.r#type)
            .ok_or_else(|| invalid(&command.r#type))?;
        if kind < last {
            return Err(invalid("Commands: the order is PutFile, RunScript, GetFile"));
        }
        last = kind;
        let keys = KINDS[kind].1;
        if let Some(param) = command.params.iter().find(|param| !keys.contains(&param.key.as_str())) {
            return Err(invalid(&param.key));
        }
        let times = |key: &str| command.params.iter().filter(|param| param.key == key).count();
        if times(keys[0]) != 1 || keys.iter().any(|key| times(key) > 1) {
            return Err(invalid(keys[0]));
        }
    }
    if commands.is_empty() { Err(Refusal::missing("Commands")) } else { Ok(()) }
}

/// `/api/machineactions`, newest first
pub(super) fn list(service: &Service, call: &Call) -> Result<Response, Refusal> {
    if call.method != Method::GET {
        return Err(Refusal::method("GET"));
    }
    service.let_in(call, MAY_READ[0], MAY_READ[1])?;
    let state = &mut *service.state();
    state.actions.look(&state.world, |_| true);
    let actions = state.actions.all.iter().rev().map(Action::shown).collect();
    odata::page(call, "MachineActions", actions, &FIELDS, service.options.page)
}

/// `/api/machineactions/{id}`
pub(super) fn one(service: &Service, call: &Call, id: &str) -> Result<Response, Refusal> {
    if call.method != Method::GET {
        return Err(Refusal::method("GET"));
    }
    service.let_in(call, MAY_READ[0], MAY_READ[1])?;
    let state = &mut *service.state();
    state.actions.look(&state.world, |action| action.id.eq_ignore_ascii_case(id));
    Ok(entity(call, StatusCode::OK, "MachineActions/$entity", &state.actions.find(id)?.shown()))
}

/// `/api/machineactions/{id}/cancel`
pub(super) fn cancel(service: &Service, call: &Call, id: &str) -> Result<Response, Refusal> {
    if call.method != Method::POST {
        return Err(Refusal::method("POST"));
    }
    let grant = service.let_in(call, MAY_RUN, MAY_RUN)?;
    let body: Value = serde_json::from_slice(&call.body).map_err(|_| Refusal::body())?;
    let comment = body["Comment"].as_str().filter(|comment| !comment.is_empty());
    let comment = comment.ok_or_else(|| Refusal::missing("Comment"))?;
    let mut state = service.state();
    let action = state.actions.find(id)?;
    if action.status == "Succeeded" {
        return Err(Refusal::new(400, "BadRequest", "The action has ended and cannot be cancelled"));
    }
    if action.is_active() {
        let now = Timestamp::now();
        action.status = "Cancelled";
        action.last_update_date_time_utc = now;
        action.cancellation_requestor = Some(grant.requestor);
        action.cancellation_comment = Some(comment.to_owned());
        action.cancellation_date_time_utc = Some(now);
    }
    Ok(entity(call, StatusCode::OK, "MachineActions/$entity", &action.shown()))
}

/// `/api/machineactions/{id}/GetLiveResponseResultDownloadLink(index=N)`
pub(super) fn link(service: &Service, call: &Call, id: &str, index: &str) -> Result<Response, Refusal> {
    if call.method != Method::GET {
        return Err(Refusal::method("GET"));
    }
    let index: usize = index.parse().map_err(|_| Refusal::not_found())?;
    // Who only may run things as an app does not see what comes out.
    service.let_in(call, &["Machine.ReadWrite.All"], MAY_RUN)?;
    let mut state = service.state();
    let step = state.actions.find(id)?.commands.get(index);
    let result = step.and_then(|step| step.result.clone());
    let result = result.ok_or_else(|| Refusal::no_such("Result of command", &index.to_string()))?;
    let path = state.world.publish(id, result);
    let value = json!({ "value": format!("{}{path}", call.base) });
    Ok(entity(call, StatusCode::OK, "Edm.String", &value.to_string()))
}

/// The store that results are downloaded from. A link needs no token, and the store takes none.
pub(super) fn download(service: &Service, call: &Call) -> Response {
    if call.headers.contains_key(header::AUTHORIZATION) {
        return (StatusCode::BAD_REQUEST, "<Error><Code>InvalidAuthenticationInfo</Code></Error>")
            .into_response();
    }
    let path = call.uri.path_and_query().map_or("", |path| path.as_str());
    match service.state().world.published(path) {
        Some(bytes) => ([("content-type", "application/octet-stream")], bytes).into_response(),
        None => (StatusCode::FORBIDDEN, "<Error><Code>AuthenticationFailed</Code></Error>").into_response(),
    }
}

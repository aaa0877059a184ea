//! Machines and what is done on them: list, tag, run, cancel. What a server leaves out is none: the original's actions
//! lack properties by their kind.

use jumpbag_wire::time::Timestamp;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Again, Client, Entity, Outcome, read, segment};
use crate::failure::Failure;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    pub id: String,
    pub computer_dns_name: Option<String>,
    pub os_platform: Option<String>,
    pub os_version: Option<String>,
    pub os_processor: Option<String>,
    pub version: Option<String>,
    pub agent_version: Option<String>,
    pub health_status: Option<String>,
    pub first_seen: Option<Timestamp>,
    pub last_seen: Option<Timestamp>,
    pub last_ip_address: Option<String>,
    pub last_external_ip_address: Option<String>,
    #[serde(default)]
    pub machine_tags: Vec<String>,
}

impl Machine {
    /// What people call it.
    pub fn name(&self) -> &str {
        named(self.computer_dns_name.as_deref(), &self.id)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub requestor: Option<String>,
    pub requestor_comment: Option<String>,
    pub status: String,
    #[serde(default)]
    pub machine_id: String,
    pub computer_dns_name: Option<String>,
    pub creation_date_time_utc: Option<Timestamp>,
    pub last_update_date_time_utc: Option<Timestamp>,
    pub cancellation_requestor: Option<String>,
    pub cancellation_comment: Option<String>,
    #[serde(default)]
    pub commands: Vec<Step>,
}

impl Action {
    pub fn name(&self) -> &str {
        named(self.computer_dns_name.as_deref(), &self.machine_id)
    }

    pub fn is_final(&self) -> bool {
        is_final(&self.status)
    }

    /// What went wrong, in the server's words.
    pub fn errors(&self) -> String {
        self.commands.iter().flat_map(|step| &step.errors).map(String::as_str).collect::<Vec<_>>().join("; ")
    }
}

fn named<'a>(name: Option<&'a str>, id: &'a str) -> &'a str {
    name.filter(|name| !name.is_empty()).unwrap_or(id)
}

/// Whether an action of this status stays as it is.
pub fn is_final(status: &str) -> bool {
    !matches!(status, "Pending" | "InProgress")
}

/// A command of an action, and how far it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub index: u32,
    pub start_time: Option<Timestamp>,
    pub end_time: Option<Timestamp>,
    #[serde(default)]
    pub command_status: String,
    #[serde(default)]
    pub errors: Vec<String>,
    pub command: Command,
    pub exit_code: Option<i64>,
    /// jumpbag says to which bytes a command is bound; the original does not.
    pub library_file: Option<IgnoredAny>,
}

type IgnoredAny = serde::de::IgnoredAny;

impl Step {
    pub fn has_ended(&self) -> bool {
        matches!(self.command_status.as_str(), "Completed" | "Failed")
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub params: Vec<Param>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    pub key: String,
    #[serde(default)]
    pub value: String,
}

pub const PUT_FILE: &str = "PutFile";
pub const RUN_SCRIPT: &str = "RunScript";
pub const GET_FILE: &str = "GetFile";

impl Command {
    pub fn new(kind: &str, key: &str, value: &str) -> Command {
        Command { kind: kind.into(), params: Vec::new() }.with(key, value)
    }

    pub fn with(mut self, key: &str, value: &str) -> Command {
        self.params.push(Param { key: key.into(), value: value.into() });
        self
    }

    pub fn param(&self, key: &str) -> Option<&str> {
        self.params.iter().find(|param| param.key == key).map(|param| param.value.as_str())
    }

    /// The library file or the path that it is about.
    pub fn about(&self) -> &str {
        ["FileName", "ScriptName", "Path"].iter().find_map(|key| self.param(key)).unwrap_or_default()
    }
}

/// What a machine is asked to do.
pub struct Wanted {
    pub comment: String,
    /// Whether no other action has this comment.
    pub unique: bool,
    pub commands: Vec<Command>,
}

pub const MACHINES: &str = "/api/machines";
pub const ACTIONS: &str = "/api/machineactions";
/// Actions that are looked at for one whose answer was lost.
const LATEST: u32 = 20;

impl Client {
    /// Machines, of all or of those that a condition in OData means.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached.
    pub async fn machines(&self, filter: Option<&str>) -> Result<Vec<Entity<Machine>>, Failure> {
        let path = filtered(MACHINES, filter);
        match self.entities(&path).await {
            // The original says so when there is none.
            Err(Failure::Refused(refusal)) if refusal.status == 404 && refusal.code == "ResourceNotFound" => {
                Ok(Vec::new())
            }
            other => other,
        }
    }

    /// One machine, by its id or its name.
    ///
    /// # Errors
    /// When the server refuses; 404 when there is none.
    pub async fn machine(&self, id_or_name: &str) -> Result<Entity<Machine>, Failure> {
        self.entity(&format!("{MACHINES}/{}", segment(id_or_name))).await
    }

    /// Adds a tag to a machine, or takes it away; twice is as good as once.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached.
    pub async fn tag(&self, machine: &str, tag: &str, add: bool) -> Result<Entity<Machine>, Failure> {
        let path = format!("{MACHINES}/{}/tags", segment(machine));
        let body = json!({ "Value": tag, "Action": if add { "Add" } else { "Remove" } });
        self.post(&path, &body, Again::Safe).await?
    }

    /// Has a machine do something, once: when the answer is lost, the server is asked whether it has the action.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached, or it is not known whether it will be done.
    pub async fn run(&self, machine: &str, wanted: &Wanted) -> Result<Entity<Action>, Failure> {
        let path = format!("{MACHINES}/{}/runliveresponse", segment(machine));
        let body = json!({ "Comment": wanted.comment, "Commands": wanted.commands });
        let lost = match self.post(&path, &body, Again::Ask).await? {
            Ok(action) => return Ok(action),
            Err(lost) => lost,
        };
        let filter = format!("machineId eq {}", quoted(machine));
        let latest: Vec<Entity<Action>> = self.actions(Some(&filter), LATEST).await?;
        let ours = |action: &&Entity<Action>| {
            action.is.requestor_comment.as_ref() == Some(&wanted.comment)
                && action.is.commands.iter().map(|step| &step.command).eq(&wanted.commands)
                && (wanted.unique || !action.is.is_final())
        };
        match latest.iter().find(ours) {
            Some(action) => Ok(action.clone()),
            None => Err(Failure::Here(format!(
                "the answer was lost ({lost}), and whether it will be done is not known: `jumpbag actions list --machine \
                 {machine}` shows it when it comes"
            ))),
        }
    }

    /// The latest actions.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached.
    pub async fn actions(&self, filter: Option<&str>, top: u32) -> Result<Vec<Entity<Action>>, Failure> {
        let path = filtered(ACTIONS, filter);
        let and = if filter.is_some() { '&' } else { '?' };
        self.entities(&format!("{path}{and}$top={top}")).await
    }

    /// # Errors
    /// When the server refuses; 404 when there is none.
    pub async fn action(&self, id: &str) -> Result<Entity<Action>, Failure> {
        self.entity(&format!("{ACTIONS}/{}", segment(id))).await
    }

    /// Ends an action; one that has ended stays as it was.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached.
    pub async fn cancel(&self, id: &str, comment: &str) -> Result<Entity<Action>, Failure> {
        let path = format!("{ACTIONS}/{}/cancel", segment(id));
        self.post(&path, &json!({ "Comment": comment }), Again::Safe).await?
    }

    /// The entity that a `POST` of JSON is answered with; the inner error is an answer that was lost.
    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
        again: Again,
    ) -> Result<Result<Entity<T>, Failure>, Failure> {
        let body = body.to_string();
        let outcome = self.attempt(Method::POST, path, again, async |request| {
            Ok(request.header("Content-Type", "application/json").body(body.clone()))
        });
        match outcome.await? {
            Outcome::Answered(answer) => match read(answer).await {
                Ok(raw) => Entity::read(raw).map(Ok),
                // It broke off in the middle.
                Err(failure @ Failure::Unreachable(_)) => Ok(Err(failure)),
                Err(failure) => Err(failure),
            },
            Outcome::Unknown(failure) => Ok(Err(failure)),
        }
    }
}

fn filtered(path: &str, filter: Option<&str>) -> String {
    match filter {
        Some(filter) => format!("{path}?$filter={}", segment(filter)),
        None => path.to_owned(),
    }
}

/// A text in OData.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

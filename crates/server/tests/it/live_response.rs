//! Live response from outside: the real server, the real agent, and machines that are played by hand where an agent
//! would not do what they do.

/// A test of each of these stories on SQLite, and one on PostgreSQL.
macro_rules! both_databases {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $name() { super::$name().await; })*
        }
        mod postgres {
            $(#[tokio::test] async fn $name() { crate::live_response::on_postgres(super::$name()).await; })*
        }
    };
}

mod actions;
mod agent;
mod agents;
mod door;
mod floods;
mod hostile;
mod listing;
mod live;
mod played;
mod protocol;
mod requests;
mod results;
mod second;
mod story;

use http::Method;
use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::poll::eventually;
use crate::support::postgres::postgres_database;
use crate::support::server::{Jumpbag, Options};

tokio::task_local! {
    /// The database of the story that is told on another than SQLite.
    static DATABASE: String;
}

async fn on_postgres(story: impl Future<Output = ()>) {
    let database = postgres_database().await;
    DATABASE.scope(database.url.clone(), story).await;
}

/// A server with the story's database: there is one server in a story that is told on both.
fn options() -> Options {
    let options = Jumpbag::options().set("rate_limits", false);
    match DATABASE.try_with(Clone::clone) {
        Ok(url) => options.set("database_url", url),
        Err(_) => options,
    }
}

/// Somebody who may do everything here.
async fn operator(bag: &Jumpbag) -> Client {
    let all = ["Library.Manage", "Machine.ReadWrite.All", "Machine.LiveResponse", "Audit.Read"];
    bag.caller(&all).await
}

/// What `enroll create` says to paste on a machine.
async fn line(bag: &Jumpbag, more: &[&str]) -> String {
    line_at(bag, &bag.url(), more).await
}

/// The same for machines that know the server by this address.
async fn line_at(bag: &Jumpbag, url: &str, more: &[&str]) -> String {
    let mut arguments = vec!["enroll", "create", "--url", url];
    arguments.extend(more);
    let (status, stdout, stderr) = bag.command(&arguments).await;
    assert!(status.success(), "{stderr}");
    stdout.trim().to_owned()
}

fn param(key: &str, value: impl Into<Value>) -> Value {
    json!({ "key": key, "value": value.into() })
}

fn script(name: &str) -> Value {
    json!({ "type": "RunScript", "params": [param("ScriptName", name)] })
}

fn put_file(name: &str) -> Value {
    json!({ "type": "PutFile", "params": [param("FileName", name)] })
}

fn get_file(path: &str) -> Value {
    json!({ "type": "GetFile", "params": [param("Path", path)] })
}

/// Asks a machine to do this.
async fn ask(client: &Client, machine: &str, commands: &[Value]) -> Answer {
    let body = json!({ "Comment": "a test", "Commands": commands });
    client.json(Method::POST, &format!("/api/machines/{machine}/runliveresponse"), &body).await
}

/// Makes an action; its id.
async fn act(client: &Client, machine: &str, commands: &[Value]) -> String {
    let action = ask(client, machine, commands).await.expect_status(201).json();
    assert_eq!(action["status"], "Pending");
    action["id"].as_str().expect("an id").to_owned()
}

async fn show(client: &Client, action: &str) -> Value {
    client.get(&format!("/api/machineactions/{action}")).await.expect_status(200).json()
}

/// The action, once it has this status.
async fn reaches(client: &Client, action: &str, status: &str) -> Value {
    eventually(&format!("{action} is {status}"), async || {
        let shown = show(client, action).await;
        (shown["status"] == status).then_some(shown)
    })
    .await
}

async fn cancel(client: &Client, action: &str) -> Answer {
    let path = format!("/api/machineactions/{action}/cancel");
    client.json(Method::POST, &path, &json!({ "Comment": "enough" })).await
}

/// The path and query of the link to what a command brought.
async fn link(client: &Client, action: &str, index: usize) -> String {
    let path = format!("/api/machineactions/{action}/GetLiveResponseResultDownloadLink(index={index})");
    let answer = client.get(&path).await.expect_status(200);
    let value = answer.json()["value"].as_str().expect("a link").to_owned();
    value.strip_prefix(&answer.base).expect("an absolute link").to_owned()
}

/// What a command brought, without a token.
async fn result(bag: &Jumpbag, client: &Client, action: &str, index: usize) -> Answer {
    let link = link(client, action, index).await;
    bag.anonymous().get(&link).await.expect_status(200)
}

/// Reasons for which machines were refused, from the audit log.
async fn refusals(client: &Client) -> Vec<String> {
    let answer = client.get("/api/audit?$filter=action%20eq%20'machine.refuse'").await.expect_status(200);
    let reason = |entry: &Value| entry["after"]["reason"].as_str().expect("a reason").to_owned();
    answer.value().iter().map(reason).collect()
}

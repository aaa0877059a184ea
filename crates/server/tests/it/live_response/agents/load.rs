//! Actions by the dozen, each with a number of its own that its script writes down, and what must be true of all of
//! them in the end: no command ran twice, every action ended, and of what succeeded everything is there.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::Rig;
use crate::live_response::{get_file, param, put_file, result, show};
use crate::support::client::Client;
use crate::support::poll::eventually_within;

/// What an agent says of a command during which it was killed.
const INTERRUPTED: &str = "the agent was stopped while the command ran";
/// Actions that wait for one machine at a time.
const WAITING: u64 = 4;
/// An action ends in less than the minute after which an agent says an end again without being asked.
const ENDS_WITHIN: Duration = Duration::from_secs(50);
/// Some take a while, so that more are killed in their midst.
const SCRIPT: &str = "#!/bin/sh\necho \"$1\" >> \"$2\"\necho \"begin $1\"\nsleep \"$4\"\n\
    [ \"$3\" = 0 ] || seq -f \"line %.0f of $1\" 1 \"$3\"\necho \"oh $1\" >&2\necho \"end $1\"\n";

/// Whether commands may fail because their agent was killed.
#[derive(Clone, Copy, PartialEq)]
pub enum Agents {
    AreKilled,
    Live,
}

pub struct Load<'a> {
    rig: &'a Rig,
    /// Where scripts write down that they run.
    ledger: PathBuf,
    numbers: AtomicU64,
    enough: AtomicBool,
    /// Actions whose making was answered.
    made: Mutex<HashMap<String, u64>>,
    /// Actions that were seen to be over, as they were shown then.
    over: Mutex<HashMap<String, Value>>,
}

/// What became of all actions.
#[derive(Debug, Default)]
pub struct Tally {
    pub succeeded: usize,
    pub interrupted: usize,
    /// Of those that were interrupted.
    pub ran: usize,
}

/// How many lines a script puts out before its last: mostly few, sometimes more than fit into one row or one chunk.
fn lines(number: u64) -> u64 {
    if number % 10 == 3 { 25_000 } else { number % 4 }
}

fn stdout(number: u64) -> String {
    let lines: String = (1..=lines(number)).map(|line| format!("line {line} of {number}\n")).collect();
    format!("begin {number}\n{lines}end {number}\n")
}

impl Load<'_> {
    pub async fn new(rig: &Rig) -> Load<'_> {
        rig.operator().await.upload("short.sh", SCRIPT).await.expect_status(200);
        Load {
            rig,
            ledger: rig.bag.data_dir().with_extension("ledger"),
            numbers: AtomicU64::new(0),
            enough: AtomicBool::new(false),
            made: Mutex::default(),
            over: Mutex::default(),
        }
    }

    /// Makes no more actions.
    pub fn stop(&self) {
        self.enough.store(true, Ordering::Relaxed);
    }

    pub fn made(&self) -> usize {
        self.made.lock().expect("no test panics inside").len()
    }

    /// Keeps a machine busy until there are so many actions in all, or it was enough.
    pub async fn feed(&self, machine: &str, most: u64) {
        let mut ticks = tokio::time::interval(Duration::from_millis(25));
        while !self.enough.load(Ordering::Relaxed) && self.numbers.load(Ordering::Relaxed) < most {
            ticks.tick().await;
            let client = self.rig.operator().await;
            let Some(open) = open(&client, &format!("machineId eq '{machine}' and ")).await else { continue };
            for _ in open..WAITING {
                if !self.make(&client, machine).await {
                    break;
                }
            }
            self.look(&client).await;
        }
    }

    /// Makes an action; `false` when nobody answers, and it may have been made or not.
    async fn make(&self, client: &Client, machine: &str) -> bool {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let ledger = self.ledger.display().to_string();
        let pause = if number % 5 == 1 { "0.2" } else { "0" };
        let args = json!([number.to_string(), ledger, lines(number).to_string(), pause]);
        let script = json!({ "type": "RunScript", "params": [param("ScriptName", "short.sh"), param("ArgsList", args)] });
        let commands = match number % 7 {
            0 => vec![put_file("short.sh"), script, get_file("short.sh")],
            _ => vec![script],
        };
        let body = json!({ "Comment": number.to_string(), "Commands": commands });
        let path = format!("/api/machines/{machine}/runliveresponse");
        let Ok(answer) = client.json(Method::POST, &path, &body).attempt().await else { return false };
        let id = answer.expect_status(201).json()["id"].as_str().expect("an id").to_owned();
        self.made.lock().expect("no test panics inside").insert(id, number);
        true
    }

    /// Notes how an action looks that is over.
    async fn look(&self, client: &Client) {
        let known: Vec<String> = self.over.lock().expect("no test panics inside").keys().cloned().collect();
        let next =
            self.made.lock().expect("no test panics inside").keys().find(|id| !known.contains(id)).cloned();
        let Some(id) = next else { return };
        let Ok(answer) = client.get(&format!("/api/machineactions/{id}")).attempt().await else { return };
        let shown = without_address(answer.expect_status(200).json());
        if !["Pending", "InProgress"].contains(&shown["status"].as_str().expect("a status")) {
            self.over.lock().expect("no test panics inside").insert(id, shown);
        }
    }

    /// What became of all actions. Panics when one does not end, or something promised does not hold.
    pub async fn verify(&self, agents: Agents) -> Tally {
        let client = self.rig.operator().await;
        eventually_within(ENDS_WITHIN, "every action ends", async || {
            (open(&client, "").await == Some(0)).then_some(())
        })
        .await;
        let over = std::mem::take(&mut *self.over.lock().expect("no test panics inside"));
        for (id, shown) in over {
            assert_eq!(without_address(show(&client, &id).await), shown, "what is over does not change");
        }
        let all = client.get("/api/machineactions?$top=10000").await.expect_status(200).value();
        let ran = self.ran();
        let mut missing = self.made.lock().expect("no test panics inside").clone();
        let mut tally = Tally::default();
        for action in &all {
            let number = action["requestorComment"].as_str().expect("a comment").parse().expect("a number");
            missing.remove(action["id"].as_str().expect("an id"));
            let times = ran.get(&number).copied().unwrap_or(0);
            assert!(times <= 1, "command {number} ran {times} times: {action}");
            if action["status"] == "Succeeded" {
                assert_eq!(times, 1, "it succeeded and did not run: {action}");
                tally.succeeded += 1;
                self.whole(&client, action, number).await;
            } else {
                assert!(agents == Agents::AreKilled, "{action}");
                tally.interrupted += 1;
                tally.ran += times;
                self.interrupted(&client, action, number).await;
            }
        }
        assert!(missing.is_empty(), "actions whose making was acknowledged are not there: {missing:?}");
        let numbers: Vec<u64> = all
            .iter()
            .map(|a| a["requestorComment"].as_str().unwrap_or("").parse().expect("a number"))
            .collect();
        assert!(ran.keys().all(|number| numbers.contains(number)), "something ran that nobody asked for");
        tally
    }

    /// How often the script with each number ran.
    fn ran(&self) -> HashMap<u64, usize> {
        let text = std::fs::read_to_string(&self.ledger).unwrap_or_default();
        let mut ran = HashMap::new();
        for line in text.lines() {
            *ran.entry(line.parse().expect("a number")).or_default() += 1;
        }
        ran
    }

    /// Everything that a command that succeeded put out is there.
    async fn whole(&self, client: &Client, action: &Value, number: u64) {
        let id = action["id"].as_str().expect("an id");
        let commands = action["commands"].as_array().expect("commands");
        assert!(commands.iter().all(|command| command["commandStatus"] == "Completed"), "{action}");
        let script = usize::from(commands.len() > 1);
        let told = result(&self.rig.bag, client, id, script).await.json();
        assert_eq!(told["script_output"], stdout(number), "{action}");
        assert_eq!(
            (&told["script_errors"], &told["exit_code"]),
            (&json!(format!("oh {number}\n")), &json!(0))
        );
        assert_eq!(output(client, id, script).await, stdout(number));
        if commands.len() > 1 {
            let file = result(&self.rig.bag, client, id, 2).await;
            let mut back = String::new();
            flate2::read::MultiGzDecoder::new(&file.body[..]).read_to_string(&mut back).expect("gzip");
            assert_eq!(back, SCRIPT, "{action}");
        }
    }

    /// It says why it failed, and what it had put out until then is not garbled.
    async fn interrupted(&self, client: &Client, action: &Value, number: u64) {
        assert_eq!(action["status"], "Failed", "{action}");
        let commands = action["commands"].as_array().expect("commands");
        let failed = commands.iter().position(|command| command["commandStatus"] == "Failed");
        let failed = failed.unwrap_or_else(|| panic!("it failed and no command did: {action}"));
        assert_eq!(commands[failed]["errors"], json!([INTERRUPTED]), "{action}");
        assert!(commands[failed]["startTime"].is_string(), "{action}");
        if commands[failed]["command"]["type"] == "RunScript" {
            let id = action["id"].as_str().expect("an id");
            let told = output(client, id, failed).await;
            assert!(stdout(number).starts_with(&told), "{told:?} of {action}");
            assert_eq!(result(&self.rig.bag, client, id, failed).await.json()["script_output"], told);
        }
    }
}

/// What is the same in each life of a server.
fn without_address(mut shown: Value) -> Value {
    shown["@odata.context"].take();
    shown
}

async fn output(client: &Client, action: &str, index: usize) -> String {
    let path = format!("/api/machineactions/{action}/commands/{index}/stdout");
    client.get(&path).await.expect_status(200).text()
}

/// How many actions are not over; `None` when nobody answers.
async fn open(client: &Client, which: &str) -> Option<u64> {
    let filter = format!("{which}status in ('Pending','InProgress')");
    let filter: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
    let path = format!("/api/machineactions?$count=true&$top=1&$filter={filter}");
    let answer = client.get(&path).attempt().await.ok()?;
    Some(answer.expect_status(200).json()["@odata.count"].as_u64().expect("a count"))
}

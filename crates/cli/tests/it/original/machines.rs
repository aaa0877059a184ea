//! Machines: they are listed, found by id or name, and tagged.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use jumpbag_wire::time::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::answer::{Refusal, entity};
use super::{Call, Original, Service, odata};

const MAY_READ: [&[&str]; 2] =
    [&["Machine.Read.All", "Machine.ReadWrite.All"], &["Machine.Read", "Machine.ReadWrite"]];

const FIELDS: [&str; 13] = [
    "computerDnsName",
    "id",
    "version",
    "deviceValue",
    "aadDeviceId",
    "machineTags",
    "lastSeen",
    "exposureLevel",
    "onboardingStatus",
    "lastIpAddress",
    "healthStatus",
    "osPlatform",
    "riskScore",
];

/// A machine as the service shows it; what is in capitals differs.
const SHOWN: &str = r#"{"id":"ID","mergedIntoMachineId":null,"isPotentialDuplication":false,"isExcluded":false,"exclusionReason":null,"computerDnsName":NAME,"firstSeen":"SEEN","lastSeen":"SEEN","osPlatform":"Windows10","osVersion":null,"osProcessor":"x64","version":"21H2","lastIpAddress":"192.0.2.17","lastExternalIpAddress":"198.51.100.4","agentVersion":"10.8470.19041.2788","osBuild":19044,"healthStatus":"Active","deviceValue":"Normal","rbacGroupId":0,"rbacGroupName":null,"riskScore":"None","exposureLevel":"Low","isAadJoined":true,"aadDeviceId":null,"machineTags":TAGS,"defenderAvStatus":"Updated","onboardingStatus":"Onboarded","osArchitecture":"64-bit","managedBy":"Intune","managedByStatus":"Unknown","ipAddresses":[{"ipAddress":"192.0.2.17","macAddress":"000C2992A643","type":"Ethernet","operationalStatus":"Up"}],"vmMetadata":null}"#;

#[derive(Clone)]
pub struct Machine {
    /// 40 hexadecimal digits that follow from the name.
    pub(super) id: String,
    pub(super) name: String,
    tags: Vec<String>,
    seen: Timestamp,
}

impl Machine {
    fn shown(&self) -> String {
        let (name, tags) = (json!(self.name).to_string(), json!(self.tags).to_string());
        let seen = self.seen.to_string();
        SHOWN
            .replace("SEEN", &seen)
            .replace("\"ID\"", &json!(self.id).to_string())
            .replace("TAGS", &tags)
            .replace("NAME", &name)
    }
}

#[derive(Default)]
pub struct Machines(Vec<Machine>);

impl Machines {
    pub(super) fn with_id(&self, id: &str) -> Option<&Machine> {
        self.0.iter().find(|machine| machine.id.eq_ignore_ascii_case(id))
    }

    fn find(&mut self, id_or_name: &str) -> Result<&mut Machine, Refusal> {
        let is = |machine: &&mut Machine| {
            [&machine.id, &machine.name].into_iter().any(|it| it.eq_ignore_ascii_case(id_or_name))
        };
        self.0.iter_mut().find(is).ok_or_else(|| Refusal::no_such("Machine", id_or_name))
    }
}

impl Original {
    /// A machine of this name, which the service writes in lower case, and its id.
    pub fn add_machine(&self, name: &str, tags: &[&str]) -> String {
        let name = name.to_lowercase();
        let digest = Sha256::digest(&name);
        let id: String = digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
        let tags = tags.iter().map(|tag| tag.to_string()).collect();
        self.state().machines.0.push(Machine { id: id.clone(), name, tags, seen: Timestamp::now() });
        id
    }

    /// The tags of a machine that was added.
    pub fn tags(&self, name: &str) -> Vec<String> {
        self.state().machines.find(name).expect("a machine").tags.clone()
    }
}

/// `/api/machines`
pub(super) fn list(service: &Service, call: &Call) -> Result<Response, Refusal> {
    if call.method != Method::GET {
        return Err(Refusal::method("GET"));
    }
    service.let_in(call, MAY_READ[0], MAY_READ[1])?;
    let machines = service.state().machines.0.iter().map(Machine::shown).collect();
    odata::page(call, "Machines", machines, &FIELDS, service.options.page)
}

/// `/api/machines/{id or name}`
pub(super) fn one(service: &Service, call: &Call, name: &str) -> Result<Response, Refusal> {
    if call.method != Method::GET {
        return Err(Refusal::method("GET"));
    }
    service.let_in(call, MAY_READ[0], MAY_READ[1])?;
    let shown = service.state().machines.find(name)?.shown();
    Ok(entity(call, StatusCode::OK, "Machines/$entity", &shown))
}

/// `/api/machines/{id}/tags`: `{"Value": "a tag", "Action": "Add"}`, or `Remove`
pub(super) fn tag(service: &Service, call: &Call, name: &str) -> Result<Response, Refusal> {
    if call.method != Method::POST {
        return Err(Refusal::method("POST"));
    }
    service.let_in(call, &["Machine.ReadWrite.All"], &["Machine.ReadWrite"])?;
    let body: Value = serde_json::from_slice(&call.body).map_err(|_| Refusal::body())?;
    let value = body["Value"].as_str().filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| Refusal::missing("Value"))?;
    let mut state = service.state();
    let machine = state.machines.find(name)?;
    match body["Action"].as_str() {
        Some("Add") if machine.tags.iter().any(|tag| tag == value) => {}
        Some("Add") => machine.tags.push(value.to_owned()),
        Some("Remove") => machine.tags.retain(|tag| tag != value),
        _ => return Err(Refusal::missing("Action")),
    }
    Ok(entity(call, StatusCode::OK, "Machines/$entity", &machine.shown()))
}

//! MACHINES: how they come in, what they are called by, and how they are cut off. A machine is its key: whoever holds
//! the private part is the machine, and nobody else.

pub mod proof;
mod refusals;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jumpbag_wire::agent::{Enroll, enroll_text};
use jumpbag_wire::machine::{Facts, HealthStatus, Machine};
use jumpbag_wire::time::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::auth::secret::{Hidden, new_secret};
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::machines::{self, Enrollment, MachineRow};
use crate::catalog::{Catalog, Tx};
use crate::error::Error;
use crate::listed::{Listed, paged};
use crate::odata::{EntitySet, Kind, Property, Query};
use jumpbag_wire::hex::hex;

/// How long a machine counts as active after it was last seen.
const ACTIVE_SECS: i64 = 7 * 24 * 3600;
/// Machines of a page.
const MAX_PAGE: u64 = 10_000;
/// Machines that are noted in one transaction.
const AT_ONCE: usize = 500;
/// Characters of a machine's name.
const MAX_NAME: usize = 255;
pub const MAX_TAGS: usize = 64;
pub const MAX_TAG: usize = 200;

/// Why somebody is not let in.
const NO_SIGNATURE: &str = "the signature is not one of the public key";
const NO_TOKEN: &str =
    "the token does not count: it is unknown, used up, expired or revoked; make another with `enroll create`";
const KNOWN_KEY: &str =
    "a machine with this key is known already: remove the agent's data folder to make a new key";

pub struct Machines {
    catalog: Arc<Catalog>,
    refusals: refusals::Refusals,
}

/// Stands for the time since which a machine must have been seen to be active.
const ACTIVE_SINCE: &str = "{active since}";

/// What may be asked of the collection. What nobody measures here is the same for all, as [`shown`] tells it.
pub static SET: EntitySet = EntitySet {
    name: "Machines",
    properties: &[
        Property::new("id", "m.id", Kind::Text),
        Property::new("computerDnsName", "m.name", Kind::Text),
        Property::new("firstSeen", "m.first_seen", Kind::Time),
        Property::new("lastSeen", "m.last_seen", Kind::Time),
        Property::new("osPlatform", "m.os_platform", Kind::Text),
        Property::new("version", "m.version", Kind::Text),
        Property::new("lastExternalIpAddress", "m.address", Kind::Text),
        Property::new("machineTags", machines::TAGS, Kind::Texts),
        Property::new("lastIpAddress", "m.ip_address", Kind::Text),
        Property::new(
            "healthStatus",
            "(cast(case when m.last_seen > {active since} then 'Active' else 'Inactive' end as text) collate \"C\")",
            Kind::Text,
        ),
        Property::new("deviceValue", "(cast('Normal' as text) collate \"C\")", Kind::Text),
        Property::new("riskScore", "(cast('None' as text) collate \"C\")", Kind::Text),
        Property::new("exposureLevel", "(cast('None' as text) collate \"C\")", Kind::Text),
        Property::new("onboardingStatus", "(cast('Onboarded' as text) collate \"C\")", Kind::Text),
        Property::new("defenderAvStatus", "(cast('NotSupported' as text) collate \"C\")", Kind::Text),
        Property::new("managedBy", "(cast('Unknown' as text) collate \"C\")", Kind::Text),
        Property::new("managedByStatus", "(cast('Unknown' as text) collate \"C\")", Kind::Text),
        Property::new("aadDeviceId", "(cast(null as text) collate \"C\")", Kind::Text),
        Property::new("rbacGroupName", "(cast(null as text) collate \"C\")", Kind::Text),
        Property::new("rbacGroupId", "(cast(0 as bigint))", Kind::Int),
        Property::new("isAadJoined", "(1 = 0)", Kind::Bool),
        Property::shown("mergedIntoMachineId"),
        Property::shown("isPotentialDuplication"),
        Property::shown("isExcluded"),
        Property::shown("exclusionReason"),
        Property::shown("osVersion"),
        Property::shown("osProcessor"),
        Property::shown("osArchitecture"),
        Property::shown("osBuild"),
        Property::shown("agentVersion"),
        Property::shown("ipAddresses"),
        Property::shown("vmMetadata"),
    ],
    max_top: MAX_PAGE,
    searchable: false,
};

/// An enrolment to be made.
#[derive(Debug, Clone)]
pub struct NewEnrollment {
    pub uses: u32,
    pub seconds: i64,
    pub tags: Vec<String>,
}

impl Machines {
    pub fn new(catalog: Arc<Catalog>) -> Machines {
        Machines { catalog, refusals: refusals::Refusals::default() }
    }

    /// Makes what machines enrol with; the secret is shown only now.
    pub async fn create_enrollment(
        &self,
        new: NewEnrollment,
        actor: Actor,
        now: Timestamp,
    ) -> Result<(Enrollment, Hidden), Error> {
        let mut tags = Vec::with_capacity(new.tags.len());
        for tag in new.tags {
            let tag = check_tag(tag)?;
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        let secret = new_secret();
        let row = Enrollment {
            id: uuid::Uuid::new_v4().to_string(),
            tags,
            uses: new.uses.into(),
            expires_at: now.plus_secs(new.seconds),
            created_at: now,
            created_by: actor.name.clone(),
        };
        let (kept, digest) = (row.clone(), digest(secret.reveal()));
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let turn = audit::turn(tx).await?;
                    machines::insert_enrollment(tx, &kept, &digest).await?;
                    let after = json!({ "uses": kept.uses, "expires": kept.expires_at, "tags": kept.tags });
                    let change = Change {
                        action: "enrollment.create",
                        target: &kept.id,
                        before: None,
                        after: Some(after),
                    };
                    Ok::<_, Error>(audit::append(tx, now, &actor, turn, change).await?)
                })
            })
            .await?;
        Ok((row, secret))
    }

    pub async fn enrollments(&self) -> Result<Vec<Enrollment>, Error> {
        self.catalog.read(|tx| Box::pin(async move { Ok(machines::enrollments(tx).await?) })).await
    }

    /// # Errors
    /// `NotFound` when there is no such enrolment.
    pub async fn revoke_enrollment(&self, id: &str, actor: Actor, now: Timestamp) -> Result<(), Error> {
        let id = id.to_owned();
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let turn = audit::turn(tx).await?;
                    if !machines::revoke_enrollment(tx, &id, now).await? {
                        return Err(Error::NotFound(format!("enrolment `{id}` was not found")));
                    }
                    let change =
                        Change { action: "enrollment.revoke", target: &id, before: None, after: None };
                    Ok(audit::append(tx, now, &actor, turn, change).await?)
                })
            })
            .await
    }

    /// Lets a machine in: its id.
    ///
    /// # Errors
    /// `Forbidden` when the signature is not one of the key, the token does not count or the key is known: each is in
    /// the audit log.
    pub async fn enroll(&self, request: Enroll, address: String, now: Timestamp) -> Result<String, Error> {
        let key = BASE64.decode(&request.public_key).ok().filter(|key| key.len() == 32);
        let signature = BASE64.decode(&request.signature).ok();
        let text = enroll_text(&request.token, &request.public_key);
        let (Some(key), Some(signature)) = (key, signature) else {
            return Err(Error::InvalidRequestBody("`publicKey` and `signature` must be base64".into()));
        };
        if !proof::signed(&key, &text, &signature) {
            self.refused(proof::actor("agent", &machine_id(&key), &address), NO_SIGNATURE, now).await?;
            return Err(Error::Forbidden(NO_SIGNATURE.into()));
        }
        let facts = checked(request.facts)?;
        let id = machine_id(&key);
        let row = MachineRow {
            id: id.clone(),
            public_key: request.public_key,
            facts,
            tags: Vec::new(),
            address: Some(address.clone()),
            first_seen: now,
            last_seen: now,
            lineage: None,
        };
        let actor = Actor {
            name: row.facts.computer_dns_name.clone(),
            id: format!("machine {id}"),
            address: Some(address),
            request_id: uuid::Uuid::new_v4().to_string(),
        };
        let (token, refused) = (digest(&request.token), actor.clone());
        let outcome = self.catalog.write(move |tx| Box::pin(enroll(tx, row, token, actor, now))).await;
        if let Err(Error::Forbidden(why)) = &outcome {
            self.refused(refused, why, now).await?;
        }
        outcome.map(|()| id)
    }

    /// Notes that these machines are there. Returns those that do not belong here any more.
    pub async fn seen(&self, ids: Vec<String>, now: Timestamp) -> Result<Vec<String>, Error> {
        let mut strangers = Vec::new();
        for some in ids.chunks(AT_ONCE) {
            let some = some.to_vec();
            let unknown = self.catalog.write(move |tx| {
                Box::pin(async move {
                    let mut unknown = Vec::new();
                    for id in some {
                        if !machines::seen(tx, &id, None, None, now).await? {
                            unknown.push(id);
                        }
                    }
                    Ok::<_, Error>(unknown)
                })
            });
            strangers.extend(unknown.await?);
        }
        Ok(strangers)
    }

    async fn row(&self, id: &str) -> Result<Option<MachineRow>, Error> {
        let id = id.to_owned();
        self.catalog.read(move |tx| Box::pin(async move { Ok(machines::find(tx, &id).await?) })).await
    }

    /// The machine of an id or a name, letter case aside.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn find(&self, wanted: &str) -> Result<MachineRow, Error> {
        let wanted = wanted.to_owned();
        self.catalog.read(move |tx| Box::pin(async move { by_id_or_name(tx, &wanted).await })).await
    }

    /// One page of what a query asks for.
    pub async fn list(&self, query: Query, now: Timestamp) -> Result<Listed<MachineRow>, Error> {
        let (mut page, limit) = paged(&query, MAX_PAGE)?;
        let active_since = now.plus_secs(-ACTIVE_SECS).micros().to_string();
        page.order = page.order.replace(ACTIVE_SINCE, &active_since);
        page.filter = page.filter.map(|(sql, params)| (sql.replace(ACTIVE_SINCE, &active_since), params));
        let rows = self.catalog.snapshot(move |tx| {
            Box::pin(async move {
                let rows = machines::list(tx, &page).await?;
                let count = if query.count { Some(machines::count(tx, &page).await?) } else { None };
                Ok::<_, Error>(Listed::new(rows, count, limit, &query))
            })
        });
        rows.await
    }

    /// Cuts a machine off, and ends what it was to do.
    pub async fn revoke(&self, id: &str, actor: Actor, now: Timestamp) -> Result<(), Error> {
        let id = id.to_ascii_lowercase();
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let turn = audit::turn(tx).await?;
                    let row = machines::find(tx, &id).await?.ok_or_else(|| absent(&id))?;
                    machines::revoke(tx, &id, now).await?;
                    let before = json!({ "computerDnsName": row.facts.computer_dns_name });
                    let change =
                        Change { action: "machine.revoke", target: &id, before: Some(before), after: None };
                    audit::append(tx, now, &actor, turn, change).await?;
                    crate::actions::end_all_of(tx, &id, &actor, now).await
                })
            })
            .await
    }

    /// Adds a tag to a machine or takes it away.
    ///
    /// # Errors
    /// `InvalidInput` when the tag breaks a rule.
    pub async fn tag(
        &self,
        wanted: &str,
        tag: &str,
        add: bool,
        actor: Actor,
        now: Timestamp,
    ) -> Result<MachineRow, Error> {
        let (wanted, tag) = (wanted.to_owned(), check_tag(tag.to_owned())?);
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let turn = audit::turn(tx).await?;
                    let mut row = by_id_or_name(tx, &wanted).await?;
                    let before = json!({ "machineTags": row.tags });
                    row.tags.retain(|known| *known != tag);
                    if add {
                        row.tags.push(tag);
                    }
                    if row.tags.len() > MAX_TAGS {
                        return Err(Error::InvalidInput(format!("a machine has at most {MAX_TAGS} tags")));
                    }
                    machines::set_tags(tx, &row.id, &row.tags).await?;
                    let change = Change {
                        action: "machine.tag",
                        target: &row.id,
                        before: Some(before),
                        after: Some(json!({ "machineTags": row.tags })),
                    };
                    audit::append(tx, now, &actor, turn, change).await?;
                    Ok(row)
                })
            })
            .await
    }
}

/// Also for those that are about to change something.
pub async fn by_id_or_name(tx: &mut Tx, wanted: &str) -> Result<MachineRow, Error> {
    let key = wanted.to_lowercase();
    if key.contains('\0') {
        return Err(absent(wanted));
    }
    if let Some(row) = machines::find(tx, &key).await? {
        return Ok(row);
    }
    machines::named(tx, &key).await?.ok_or_else(|| absent(wanted))
}

fn absent(wanted: &str) -> Error {
    let shown: String = wanted.chars().take(MAX_NAME).collect();
    Error::NotFound(format!("Machine {} was not found", shown.escape_debug()))
}

async fn enroll(
    tx: &mut Tx,
    mut row: MachineRow,
    token: String,
    actor: Actor,
    now: Timestamp,
) -> Result<(), Error> {
    let turn = audit::turn(tx).await?;
    let Some(enrollment) = machines::use_enrollment(tx, &token, now).await? else {
        return Err(Error::Forbidden(NO_TOKEN.into()));
    };
    row.tags = enrollment.tags;
    if !machines::insert(tx, &row, &enrollment.id).await? {
        return Err(Error::Forbidden(KNOWN_KEY.into()));
    }
    let after = json!({ "computerDnsName": row.facts.computer_dns_name, "enrollment": enrollment.id });
    let change = Change { action: "machine.enroll", target: &row.id, before: None, after: Some(after) };
    Ok(audit::append(tx, now, &actor, turn, change).await?)
}

fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

fn machine_id(key: &[u8]) -> String {
    hex(&Sha256::digest(key)[..20])
}

/// What an agent says of its machine, made fit to be kept and shown.
fn checked(mut facts: Facts) -> Result<Facts, Error> {
    let invalid = |what: &str| Err(Error::InvalidRequestBody(format!("`facts`: {what}")));
    facts.computer_dns_name = facts.computer_dns_name.to_lowercase();
    let name = &facts.computer_dns_name;
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return invalid("`computerDnsName` has 1 to 255 characters without control characters");
    }
    let text = serde_json::to_string(&facts).map_err(|e| Error::Internal(e.to_string()))?;
    if text.len() > 64 * 1024 || text.contains("\\u0000") {
        return invalid("they are larger than 64 KiB, or hold U+0000");
    }
    Ok(facts)
}

fn check_tag(tag: String) -> Result<String, Error> {
    let trimmed = tag.trim();
    let length = trimmed.chars().count();
    if !(1..=MAX_TAG).contains(&length) || trimmed.chars().any(char::is_control) {
        return Err(Error::InvalidInput(format!(
            "a tag has 1 to {MAX_TAG} characters without control characters"
        )));
    }
    Ok(trimmed.to_owned())
}

/// A machine as the wire shows it. Of what nobody measures here, the neutral value.
pub fn shown(row: MachineRow, now: Timestamp) -> Machine {
    let active = row.last_seen > now.plus_secs(-ACTIVE_SECS);
    let last_ip = machines::ip_address(&row.facts).map(str::to_owned);
    Machine {
        id: row.id,
        merged_into_machine_id: None,
        is_potential_duplication: false,
        is_excluded: false,
        exclusion_reason: None,
        computer_dns_name: row.facts.computer_dns_name,
        first_seen: row.first_seen,
        last_seen: row.last_seen,
        os_platform: row.facts.os_platform,
        os_version: row.facts.os_version,
        os_processor: row.facts.os_processor,
        version: row.facts.version,
        last_ip_address: last_ip,
        last_external_ip_address: row.address,
        agent_version: row.facts.agent_version,
        os_build: row.facts.os_build,
        health_status: if active { HealthStatus::Active } else { HealthStatus::Inactive },
        device_value: "Normal".into(),
        rbac_group_id: 0,
        rbac_group_name: None,
        risk_score: "None".into(),
        exposure_level: "None".into(),
        is_aad_joined: false,
        aad_device_id: None,
        machine_tags: row.tags,
        defender_av_status: "NotSupported".into(),
        onboarding_status: "Onboarded".into(),
        os_architecture: row.facts.os_architecture,
        managed_by: "Unknown".into(),
        managed_by_status: "Unknown".into(),
        ip_addresses: row.facts.ip_addresses,
        vm_metadata: None,
    }
}

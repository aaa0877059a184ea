//! Which connection is a machine's. Each hands a token on to the next one, and the catalog holds the digest of the token
//! that was last confirmed, which the agent had on its disk before: who comes without it has a copy of the agent's data
//! folder, or an old one.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jumpbag_wire::agent::{MAX_LINEAGE, connect_text};
use jumpbag_wire::machine::Facts;
use jumpbag_wire::time::Timestamp;
use serde_json::json;

use super::{Machines, absent, checked, digest};
use crate::auth::secret::{Hidden, new_secret};
use crate::catalog::audit::{self, Actor, Change};
use crate::catalog::machines::{self, MachineRow};
use crate::error::Error;

/// What an agent shows when it connects.
#[derive(Debug, Clone)]
pub struct Proof {
    pub machine_id: String,
    pub nonce: String,
    pub facts: Facts,
    pub lineage: Vec<String>,
    pub signature: String,
}

/// A connection that is a machine's, and is to confirm that it has the token that the next one is known by.
pub struct Proven {
    row: MachineRow,
    address: String,
    /// Of those that it showed, the one that was confirmed last.
    pub known: Option<String>,
    pub next: Hidden,
}

impl Proven {
    pub fn machine(&self) -> &str {
        &self.row.id
    }
}

impl Machines {
    /// The machine that proves, over this nonce, that it is this one.
    ///
    /// # Errors
    /// `Forbidden` when it is unknown, revoked, the signature is not its own, or its lineage ended elsewhere. All are
    /// in the audit log.
    pub async fn prove(
        &self,
        proof: Proof,
        server_key: &str,
        address: String,
        now: Timestamp,
    ) -> Result<Proven, Error> {
        let known = self.row(&proof.machine_id).await?;
        let key = known.as_ref().and_then(|row| BASE64.decode(&row.public_key).ok());
        let signature = BASE64.decode(&proof.signature).unwrap_or_default();
        let text = connect_text(&proof.nonce, &proof.machine_id, server_key, &proof.lineage);
        let proven = key.is_some_and(|key| signed(&key, &text, &signature));
        let (Some(mut row), true) = (known, proven) else {
            let shown: String = proof.machine_id.chars().filter(char::is_ascii_hexdigit).take(40).collect();
            let why = "it is unknown or revoked, or the signature is not its own";
            self.refused(actor("agent", &shown, &address), why, now).await?;
            return Err(Error::Forbidden(format!("machine {shown}: {why}")));
        };
        row.facts = checked(proof.facts)?;
        let shown = proof.lineage.into_iter().take(MAX_LINEAGE);
        let known =
            row.lineage.as_ref().map(|current| shown.into_iter().find(|token| digest(token) == *current));
        if known == Some(None) {
            let why = "its data folder is a copy or was set back: another connection has moved on since";
            self.refused(actor(&row.facts.computer_dns_name, &row.id, &address), why, now).await?;
            // What fits into a frame that closes a connection.
            let advice =
                "a copied or restored data folder: enroll it with `--again`, or `machines readmit` it here";
            return Err(Error::Forbidden(advice.into()));
        }
        Ok(Proven { row, address, known: known.flatten(), next: new_secret() })
    }

    /// Writes down that a machine that is connected wanted to connect once more.
    pub async fn refuse_second(&self, second: Proven, now: Timestamp) -> Result<Error, Error> {
        let why = "the machine is connected already, and that connection answers";
        let name = &second.row.facts.computer_dns_name;
        self.refused(actor(name, &second.row.id, &second.address), why, now).await?;
        Ok(Error::Forbidden(
            "this machine is connected already: an agent with the same key runs elsewhere".into(),
        ))
    }

    /// The connection has its token on the disk: from now on it is the machine's. What the agent says of itself is
    /// kept. Returns the lineage.
    ///
    /// # Errors
    /// `Forbidden` when another connection was faster, or the machine was revoked.
    pub async fn confirm(&self, proven: &Proven, now: Timestamp) -> Result<String, Error> {
        let (row, address) = (proven.row.clone(), proven.address.clone());
        let lineage = digest(proven.next.reveal());
        let next = lineage.clone();
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    if !machines::move_lineage(tx, &row.id, row.lineage.as_deref(), &next).await? {
                        return Err(Error::Forbidden("another connection of this machine was faster".into()));
                    }
                    machines::seen(tx, &row.id, Some(&row.facts), Some(&address), now).await?;
                    Ok(())
                })
            })
            .await?;
        Ok(lineage)
    }

    /// # Errors
    /// `Forbidden` once the machine was revoked, or another connection moved its lineage on.
    pub async fn belongs(&self, id: &str, lineage: &str) -> Result<(), Error> {
        let row = self.row(id).await?.ok_or_else(|| Error::Forbidden("the machine was revoked".into()))?;
        if row.lineage.is_some_and(|current| current != lineage) {
            return Err(Error::Forbidden("the machine is connected elsewhere".into()));
        }
        Ok(())
    }

    /// Lets the next connection of this machine, or of every one, in with any lineage. Returns of how many.
    ///
    /// # Errors
    /// `NotFound` when there is no such machine.
    pub async fn readmit(&self, id: Option<String>, actor: Actor, now: Timestamp) -> Result<u64, Error> {
        let id = id.map(|id| id.to_ascii_lowercase());
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let turn = audit::turn(tx).await?;
                    let machines = machines::forget_lineage(tx, id.as_deref()).await?;
                    let target = id.as_deref().unwrap_or("*");
                    if machines == 0 && id.is_some() {
                        return Err(absent(target));
                    }
                    let after = Some(json!({ "machines": machines }));
                    let change = Change { action: "machine.readmit", target, before: None, after };
                    audit::append(tx, now, &actor, turn, change).await?;
                    Ok(machines)
                })
            })
            .await
    }
}

pub(super) fn actor(name: &str, machine: &str, address: &str) -> Actor {
    Actor {
        name: name.to_owned(),
        id: format!("machine {machine}"),
        address: Some(address.to_owned()),
        request_id: uuid::Uuid::new_v4().to_string(),
    }
}

pub(super) fn signed(key: &[u8], text: &str, signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(text.as_bytes(), signature).is_ok()
}

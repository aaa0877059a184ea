//! `enroll` and `machines`: letting machines in and cutting them off, from the command line. Works beside a running
//! server.

use clap::Subcommand;
use jumpbag_wire::time::Timestamp;
use serde_json::json;

use super::Failure;
use crate::access::clients;
use crate::agents::AgentKey;
use crate::app::Stores;
use crate::catalog::audit::Actor;
use crate::config::{Settings, Tls};
use crate::machines::{Machines, NewEnrollment, shown};
use crate::odata::Query;

#[derive(Subcommand)]
pub enum Enroll {
    /// Make a token that machines enrol with, and print the line to paste there
    Create {
        /// How many machines may use it
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        uses: u32,
        /// How long it is good, in hours
        #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8760))]
        hours: u32,
        /// A tag that the machines get; may be given again
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        /// The server's address as the machines reach it (default: public_url, else listen where that is one address)
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show the tokens that are not revoked
    List,
    /// Take a token out of use
    Revoke {
        /// As `enroll list` shows it
        id: String,
    },
}

#[derive(Subcommand)]
pub enum Command {
    /// Show the machines
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Cut a machine off at once
    Revoke {
        /// The machine's id
        id: String,
    },
    /// Let a machine's next connection in, though its data folder was set back or the server's database was
    Readmit {
        /// The machine's id
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// All machines: after the server's database was restored
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

pub async fn enroll(settings: &Settings, command: Enroll) -> Result<(), Failure> {
    let stores = Stores::open_existing(settings).await?;
    let machines = Machines::new(stores.catalog.clone());
    let now = Timestamp::now();
    match command {
        Enroll::Create { uses, hours, tags, url, json } => {
            let url = url.map_or_else(|| address(settings), Ok)?;
            let (tenant, _) = clients::tenant(&stores.catalog, now).await?;
            let key = AgentKey::ensure(&stores.catalog, &tenant, now).await?;
            let new = NewEnrollment { uses, seconds: i64::from(hours) * 3600, tags };
            let (row, secret) =
                machines.create_enrollment(new, Actor::operator("enroll create"), now).await?;
            let token = format!("{}.{}", secret.reveal(), key.public_url_safe());
            if json {
                let shown = json!({ "id": row.id, "token": token, "url": url, "expires": row.expires_at, "uses": uses });
                println!("{shown}");
            } else {
                println!("jumpbag-agent enroll {url} {token}");
            }
        }
        Enroll::List => {
            for row in machines.enrollments().await? {
                println!(
                    "{}  uses left {}  until {}  {}",
                    row.id,
                    row.uses,
                    row.expires_at,
                    row.tags.join(", ")
                );
            }
        }
        Enroll::Revoke { id } => {
            machines.revoke_enrollment(&id, Actor::operator("enroll revoke"), now).await?;
            println!("revoked {id}");
        }
    }
    Ok(())
}

/// Where machines reach the server, as far as the settings tell.
fn address(settings: &Settings) -> Result<String, Failure> {
    if let Some(url) = &settings.public_url {
        return Ok(url.clone());
    }
    let listen = settings.listen;
    if listen.ip().is_unspecified() || listen.port() == 0 {
        return Err(Failure::Said(format!(
            "the server listens on {listen}, which is no address that a machine can reach: say one with `--url`, or set `public_url`"
        )));
    }
    let scheme = if matches!(settings.tls, Tls::Off) { "http" } else { "https" };
    Ok(format!("{scheme}://{listen}"))
}

pub async fn machines(settings: &Settings, command: Command) -> Result<(), Failure> {
    let stores = Stores::open_existing(settings).await?;
    let machines = Machines::new(stores.catalog.clone());
    let now = Timestamp::now();
    match command {
        Command::List { json } => {
            let all = Query::parse(None, &crate::machines::SET);
            let all = all.map_err(|e| crate::error::Error::OData(e.to_string()))?;
            let rows: Vec<_> =
                machines.list(all, now).await?.rows.into_iter().map(|row| shown(row, now)).collect();
            if json {
                println!("{}", json!(rows));
                return Ok(());
            }
            for machine in rows {
                println!(
                    "{}  {}  {}  last seen {}",
                    machine.id, machine.computer_dns_name, machine.os_platform, machine.last_seen
                );
            }
        }
        Command::Revoke { id } => {
            machines.revoke(&id, Actor::operator("machines revoke"), now).await?;
            println!("revoked {id}: a server that runs cuts its connection within seconds");
        }
        Command::Readmit { id, all: _ } => {
            let said = id.clone().unwrap_or_else(|| "all machines".into());
            let number = machines.readmit(id, Actor::operator("machines readmit"), now).await?;
            println!(
                "readmitted {said} ({number}): the next connection counts, with any copy of the data folder"
            );
        }
    }
    Ok(())
}

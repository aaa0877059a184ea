//! `clients`: app registrations from the command line. Works beside a running server.

use std::io::Read as _;
use std::path::PathBuf;

use clap::Subcommand;
use jumpbag_wire::time::Timestamp;
use serde_json::json;

use super::Failure;
use crate::access::clients::{self, By, NewClient, Patch, Registered, Rotation, time_to_come};
use crate::app::Stores;
use crate::auth::permission::Permission;
use crate::auth::secret::Hidden;
use crate::catalog::audit::Actor;
use crate::catalog::clients::ClientRow;
use crate::config::Settings;

#[derive(Subcommand)]
pub enum Command {
    /// Register a client; its secret is shown once
    Add {
        /// Name for people: what `createdBy` shows
        name: String,
        /// For example Library.Manage; may be given again
        #[arg(long = "permission", required = true, value_name = "P")]
        permissions: Vec<String>,
        /// When it ends: an RFC 3339 time or a date
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// Bring an id of one's own (default: a new GUID)
        #[arg(long)]
        id: Option<String>,
        /// Read the secret from standard input instead of making one
        #[arg(long)]
        secret_stdin: bool,
        /// PEM file of a certificate whose key signs the client's assertions, instead of a secret
        #[arg(long, value_name = "FILE")]
        certificate: Option<PathBuf>,
        /// Where browsers of users may be sent after their sign-in, exactly; may be given again
        #[arg(long = "redirect-uri", value_name = "URL")]
        redirects: Vec<String>,
        /// No secret: an app in a browser or on people's machines, which users sign in to
        #[arg(long, conflicts_with_all = ["secret_stdin", "certificate"])]
        public: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show the registered clients
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Give a client a new secret
    Rotate {
        /// The client's id, as `clients list` shows it
        id: String,
        /// How long the old secrets stay good, in hours
        #[arg(long, value_name = "HOURS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=8760))]
        keep_old: u32,
        /// Read the secret from standard input instead of making one
        #[arg(long)]
        secret_stdin: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Change what a client is called, what it may do, or where it may send browsers
    Change(Changes),
    /// Take a client out of use, and its tokens with it
    Remove {
        /// The client's id, as `clients list` shows it
        id: String,
    },
}

#[derive(clap::Args)]
pub struct Changes {
    /// The client's id, as `clients list` shows it
    id: String,
    /// Another name for people
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// These permissions and no others; may be given again. Tokens lose the others within a second
    #[arg(long = "permission", value_name = "P")]
    permissions: Vec<String>,
    /// Take all permissions away
    #[arg(long, conflicts_with = "permissions")]
    no_permissions: bool,
    /// When it ends: an RFC 3339 time or a date; `never`
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// These addresses for its users' browsers and no others; may be given again
    #[arg(long = "redirect-uri", value_name = "URL")]
    redirects: Vec<String>,
    /// Take all addresses away
    #[arg(long, conflicts_with = "redirects")]
    no_redirect_uris: bool,
}

impl Changes {
    fn patch(self, now: Timestamp) -> Result<Patch, Failure> {
        let permissions = parsed(&self.permissions)?;
        let ends = |text: String| match text.as_str() {
            "never" => Ok(None),
            text => time_to_come("--expires", text, now).map(Some),
        };
        Ok(Patch {
            name: self.name,
            permissions: (self.no_permissions || !permissions.is_empty()).then_some(permissions),
            redirects: (self.no_redirect_uris || !self.redirects.is_empty()).then_some(self.redirects),
            expires: self.expires.map(ends).transpose()?,
        })
    }
}

pub async fn run(settings: &Settings, command: Command) -> Result<(), Failure> {
    // A client may be added before the first start; the others are about what is there.
    let stores = match command {
        Command::Add { .. } => Stores::open(settings).await?,
        _ => Stores::open_existing(settings).await?,
    };
    let catalog = &stores.catalog;
    let now = Timestamp::now();
    match command {
        Command::Add {
            name,
            permissions,
            expires,
            id,
            secret_stdin,
            certificate,
            redirects,
            public,
            json,
        } => {
            let new = NewClient {
                id,
                name,
                permissions: parsed(&permissions)?,
                secret: secret(secret_stdin)?,
                certificate: certificate.map(read_pem).transpose()?,
                expires: expires.map(|text| time_to_come("--expires", &text, now)).transpose()?,
                public,
                redirects,
            };
            let registered = clients::add(catalog, new, By::operator("clients add"), now).await?;
            show(&registered, json);
        }
        Command::List { json } => list(&clients::all(catalog).await?, json),
        Command::Rotate { id, keep_old, secret_stdin, json } => {
            let old_until = Some(now.plus_secs(i64::from(keep_old) * 3600));
            let rotation = Rotation { secret: secret(secret_stdin)?, old_until };
            let by = By::operator("clients rotate");
            show(&clients::rotate(catalog, &id, rotation, by, now).await?, json);
        }
        Command::Change(changes) => {
            let id = changes.id.clone();
            let by = By::operator("clients change");
            let client = clients::change(catalog, &id, changes.patch(now)?, by, now).await?;
            println!("changed: {id} ({}): {}", client.name, client.permissions.join(", "));
        }
        Command::Remove { id } => {
            clients::remove(catalog, &id, Actor::operator("clients remove"), now).await?;
            println!("removed: {id}");
        }
    }
    Ok(())
}

pub(super) fn parsed(names: &[String]) -> Result<Vec<Permission>, Failure> {
    Ok(names.iter().map(|name| clients::permission(name)).collect::<Result<_, _>>()?)
}

fn secret(from_stdin: bool) -> Result<Option<Hidden>, Failure> {
    if !from_stdin {
        return Ok(None);
    }
    let mut text = String::new();
    std::io::stdin()
        .take(4096)
        .read_to_string(&mut text)
        .map_err(|e| Failure::Said(format!("cannot read the secret from standard input: {e}")))?;
    Ok(Some(Hidden::new(text.trim_end_matches(['\r', '\n']))))
}

fn read_pem(file: PathBuf) -> Result<String, Failure> {
    std::fs::read_to_string(&file)
        .map_err(|e| Failure::Said(format!("cannot read `{}`: {e}", file.display())))
}

fn show(registered: &Registered, as_json: bool) {
    let secret = registered.secret.as_ref().map(Hidden::reveal);
    if as_json {
        let shown = json!({
            "tenant": registered.tenant,
            "client_id": registered.client.id,
            "client_secret": secret,
        });
        return println!("{shown}");
    }
    println!("tenant         {}", registered.tenant);
    println!("client id      {}", registered.client.id);
    if let Some(secret) = secret {
        println!("client secret  {secret}\n\nThe secret is shown only now.");
    }
}

fn list(clients: &[ClientRow], as_json: bool) {
    if as_json {
        let shown: Vec<_> = clients
            .iter()
            .map(|client| {
                json!({
                    "client_id": client.id,
                    "name": client.name,
                    "permissions": client.permissions,
                    "created": client.created_at,
                    "expires": client.expires_at,
                    "secrets": client.secrets.len(),
                    "certificates": client.certificates.len(),
                    "public": client.public,
                    "redirect_uris": client.redirects,
                })
            })
            .collect();
        return println!("{}", json!(shown));
    }
    println!("{:<38} {:<24} {:<22} {:<22} NAME", "CLIENT ID", "PERMISSIONS", "CREATED", "EXPIRES");
    for client in clients {
        let expires = client.expires_at.map_or_else(|| "never".to_owned(), short);
        let created = short(client.created_at);
        println!(
            "{:<38} {:<24} {created:<22} {expires:<22} {}",
            client.id,
            client.permissions.join(","),
            client.name
        );
    }
}

/// To the second.
pub(super) fn short(at: Timestamp) -> String {
    Timestamp::from_secs(at.secs()).to_string()
}

//! `users`: people who sign in with a name and a password, from the command line. Works beside a running server.

use std::io::{IsTerminal as _, Read as _, Write as _};

use clap::Subcommand;
use jumpbag_wire::time::Timestamp;
use serde_json::json;

use super::Failure;
use super::clients::{parsed, short};
use crate::access::users::{self, Edit, Person};
use crate::app::Stores;
use crate::auth::secret::Hidden;
use crate::auth::totp;
use crate::catalog::audit::Actor;
use crate::catalog::users::UserRow;
use crate::config::Settings;

#[derive(Subcommand)]
pub enum Command {
    /// Add somebody; the password comes from standard input
    Add {
        /// What the user types to sign in: letters, digits, `.`, `_`, `-`, `@` and `+`
        name: String,
        /// Name for people: what `createdBy` shows
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
        /// For example Library.Manage; may be given again
        #[arg(long = "permission", value_name = "P")]
        permissions: Vec<String>,
        /// Read the password from standard input without asking
        #[arg(long)]
        password_stdin: bool,
        /// Ask for one-time codes too; the secret for the authenticator app is shown once
        #[arg(long)]
        totp: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show the users
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Give somebody another password; ends all sign-ins of before
    Password {
        name: String,
        /// Read the password from standard input without asking
        #[arg(long)]
        password_stdin: bool,
    },
    /// Ask for one-time codes from now on; a new secret, shown once
    Totp {
        name: String,
        /// Ask for none any more
        #[arg(long)]
        remove: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Give somebody these permissions and no others
    Permissions {
        name: String,
        /// For example Library.Read; may be given again; without any, all are taken away
        #[arg(long = "permission", value_name = "P")]
        permissions: Vec<String>,
    },
    /// Let somebody in no more, at once
    Disable { name: String },
    /// Let somebody in again
    Enable { name: String },
    /// Take somebody out for good, at once
    Remove { name: String },
    /// What somebody's sign-ins hold
    Sessions {
        name: String,
        /// End all of them: sessions, refresh tokens and tokens
        #[arg(long, required = true)]
        end: bool,
    },
}

pub async fn run(settings: &Settings, command: Command) -> Result<(), Failure> {
    // A user may be added before the first start; the others are about who is there.
    let stores = match command {
        Command::Add { .. } => Stores::open(settings).await?,
        _ => Stores::open_existing(settings).await?,
    };
    let catalog = &stores.catalog;
    let edit = async |name: &str, edit: Edit, command: &str| {
        users::edit(catalog, name, edit, Actor::operator(command), Timestamp::now()).await
    };
    match command {
        Command::Add { name, display_name, permissions, password_stdin, totp, json } => {
            let permissions = parsed(&permissions)?;
            let password = password(password_stdin).await?;
            let person = Person { name: name.clone(), display_name, permissions, password, totp };
            let added = users::add(catalog, person, Actor::operator("users add"), Timestamp::now()).await?;
            show(&name, Some(&added.id), added.totp.as_ref(), json);
        }
        Command::List { json } => list(&users::all(catalog).await?, json),
        Command::Password { name, password_stdin } => {
            let password = password(password_stdin).await?;
            edit(&name, Edit::Password(password), "users password").await?;
            println!("new password: {name}; all sign-ins of before have ended");
        }
        Command::Totp { name, remove, json } => {
            let secret = (!remove).then(totp::new_secret);
            edit(&name, Edit::Totp(secret.clone()), "users totp").await?;
            if secret.is_none() {
                println!("no one-time codes any more: {name}");
            } else {
                show(&name, None, secret.as_ref(), json);
            }
        }
        Command::Permissions { name, permissions } => {
            edit(&name, Edit::Permissions(parsed(&permissions)?), "users permissions").await?;
            println!("permissions of {name}: {}", permissions.join(", "));
        }
        Command::Disable { name } => {
            edit(&name, Edit::Disable, "users disable").await?;
            println!("disabled: {name}");
        }
        Command::Enable { name } => {
            edit(&name, Edit::Enable, "users enable").await?;
            println!("enabled: {name}");
        }
        Command::Remove { name } => {
            edit(&name, Edit::Remove, "users remove").await?;
            println!("removed: {name}");
        }
        Command::Sessions { name, end: _ } => {
            edit(&name, Edit::EndSessions, "users sessions").await?;
            println!("ended all sign-ins: {name}");
        }
    }
    Ok(())
}

/// Asked for where somebody can be asked, without showing it, and twice.
async fn password(from_stdin: bool) -> Result<Hidden, Failure> {
    let said = |what: &str, e: std::io::Error| Failure::Said(format!("cannot read {what}: {e}"));
    if !from_stdin && std::io::stdin().is_terminal() {
        let first = asked("Password (not shown): ").await.map_err(|e| said("the password", e))?;
        let again = asked("Once more: ").await.map_err(|e| said("the password", e))?;
        if first != again {
            return Err(Failure::Said("the two are not the same: begin again".into()));
        }
        return Ok(first);
    }
    let mut text = String::new();
    let read = std::io::stdin().take(8192).read_to_string(&mut text);
    read.map_err(|e| said("the password from standard input", e))?;
    Ok(Hidden::new(text.trim_end_matches(['\r', '\n'])))
}

/// A line typed at the terminal, which shows it nowhere.
async fn asked(prompt: &str) -> std::io::Result<Hidden> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let terminal = std::io::stdin();
    eprint!("{prompt}");
    std::io::stderr().flush()?;
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let line = tokio::select! {
        line = line => Some(line),
        _ = tokio::signal::ctrl_c() => None,
    };
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    eprintln!();
    let Some(line) = line else {
        // At once: an orderly end would wait for the line that is still being read.
        std::process::exit(130);
    };
    Ok(Hidden::new(line.map_err(std::io::Error::other)??.trim_end_matches(['\r', '\n'])))
}

fn show(name: &str, id: Option<&str>, secret: Option<&Hidden>, as_json: bool) {
    let uri = secret.map(|secret| totp::uri(secret, name));
    if as_json {
        let mut shown = json!({ "name": name });
        for (key, value) in
            [("id", id), ("totp_secret", secret.map(Hidden::reveal)), ("totp_uri", uri.as_deref())]
        {
            if let Some(value) = value {
                shown[key] = json!(value);
            }
        }
        return println!("{shown}");
    }
    println!("name         {name}");
    if let Some(id) = id {
        println!("id           {id}");
    }
    if let (Some(secret), Some(uri)) = (secret, uri) {
        println!("totp secret  {}\ntotp uri     {uri}\n\nThe secret is shown only now.", secret.reveal());
    }
}

fn list(users: &[UserRow], as_json: bool) {
    if as_json {
        let shown: Vec<_> = users
            .iter()
            .map(|user| {
                json!({
                    "id": user.id,
                    "name": user.name,
                    "display_name": user.display_name,
                    "permissions": user.permissions,
                    "totp": user.totp.is_some(),
                    "created": user.created_at,
                    "disabled": user.disabled_at,
                })
            })
            .collect();
        return println!("{}", json!(shown));
    }
    println!(
        "{:<32} {:<22} {:<5} {:<9} {:<24} DISPLAY NAME",
        "NAME", "CREATED", "TOTP", "STATE", "PERMISSIONS"
    );
    for user in users {
        println!(
            "{:<32} {:<22} {:<5} {:<9} {:<24} {}",
            user.name,
            short(user.created_at),
            if user.totp.is_some() { "yes" } else { "no" },
            if user.disabled_at.is_some() { "disabled" } else { "enabled" },
            user.permissions.join(","),
            user.display_name
        );
    }
}

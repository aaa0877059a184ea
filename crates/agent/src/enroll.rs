//! Enrolment: a pasted line makes this machine one of the server's. The server's key comes with the line, so nobody
//! between the two can put another in its place.

use std::path::PathBuf;

use jumpbag_wire::agent::{ENROLL_PATH, Enroll, Enrolled, enroll_text};

use crate::disk;
use crate::error::{Context, Error, Result};
use crate::facts;
use crate::identity::{Identity, ServerKey};
use crate::link::proxy::Proxy;
use crate::link::{self, Server};
use crate::settings::{Home, Limits, Settings};

/// What the pasted line says.
pub struct Pasted {
    pub url: String,
    /// `<secret>.<server key>`.
    pub token: String,
    pub ca: Option<PathBuf>,
    pub proxy: Option<String>,
    /// Whether a machine that is enrolled already becomes a new one.
    pub again: bool,
}

/// Enrols this machine, and writes down what was agreed. Returns the machine's id.
///
/// # Errors
/// When it is enrolled already, or the server cannot be reached, refuses, or has another key than the token says.
pub async fn enroll(home: &Home, pasted: &Pasted) -> Result<String> {
    let (secret, key) = pasted
        .token
        .rsplit_once('.')
        .ok_or_else(|| Error::new("the token is not whole: it has a dot before the server's key"))?;
    let pinned = ServerKey::parse(key).context(|| "the token is not whole".into())?;
    let server = Server::parse(&pasted.url)?;
    if home.settings().exists() && !pasted.again {
        let known = Settings::read(home)?;
        return Err(Error::new(format!(
            "this machine is enrolled at `{}` as {} already; with `--again` it becomes a new one",
            known.url, known.machine_id
        )));
    }
    disk::private_folder(home.folder())?;
    let ca = keep_certificates(home, pasted)?;
    let staged = home.key().with_added_extension("enrolling");
    let identity = Identity::create(&staged)?;
    // A service has another environment than who pastes the line: what is chosen here is kept.
    let proxy = Proxy::choose(&server, pasted.proxy.as_deref(), |name| std::env::var(name).ok());
    let enrolled = ask(&server, pasted, proxy.as_deref(), ca.as_deref(), secret, &identity).await;
    let enrolled = enrolled.and_then(|enrolled| match ServerKey::parse(&enrolled.server_key)? == pinned {
        true => Ok(enrolled),
        false => Err(Error::new(format!(
            "`{}` has another key than the token says: it is not the server that printed the line, and the machine \
             is not enrolled",
            pasted.url
        ))),
    });
    if enrolled.is_err() {
        let _ = std::fs::remove_file(&staged);
    }
    let enrolled = enrolled?;
    let moved = std::fs::rename(&staged, home.key()).and_then(|()| disk::sync_folder(home.folder()));
    moved.context(|| format!("cannot write `{}`", home.key().display()))?;
    let settings = Settings {
        url: pasted.url.clone(),
        machine_id: enrolled.machine_id.clone(),
        server_key: pinned.to_string(),
        ca,
        proxy,
        limits: Limits::default(),
        path: None,
        first_wait: 1.0,
        longest_wait: 300.0,
    };
    settings.write(home)?;
    // Those of the machine that this was. The new one may come with any.
    let _ = std::fs::remove_file(home.lineage());
    Ok(enrolled.machine_id)
}

/// A copy of the certificates stays with the agent: the file that was named may go.
fn keep_certificates(home: &Home, pasted: &Pasted) -> Result<Option<PathBuf>> {
    let Some(path) = &pasted.ca else { return Ok(None) };
    link::tls::roots(path)?;
    let pem = std::fs::read(path).context(|| format!("cannot read `{}`", path.display()))?;
    disk::write_private(&home.certificates(), &pem)?;
    Ok(Some(home.certificates()))
}

async fn ask(
    server: &Server,
    pasted: &Pasted,
    proxy: Option<&str>,
    ca: Option<&std::path::Path>,
    secret: &str,
    identity: &Identity,
) -> Result<Enrolled> {
    let public_key = identity.public_key();
    let signature = identity.sign(&enroll_text(secret, &public_key));
    let request = Enroll { token: secret.to_owned(), public_key, facts: facts::gather(), signature };
    let body = serde_json::to_vec(&request).context(|| "cannot write the request".into())?;
    let proxy = proxy.map(Proxy::parse).transpose()?;
    let stream = link::open(server, proxy.as_ref(), ca).await?;
    let path = server.path(ENROLL_PATH);
    let (status, body) =
        link::http::post(stream, &server.authority(), &path, &body, crate::USER_AGENT).await?;
    if status != 200 && status != 201 {
        let reason = refusal(&body);
        return Err(Error::new(format!(
            "`{}` refuses to enrol this machine ({status}): {reason}",
            pasted.url
        )));
    }
    serde_json::from_slice(&body)
        .context(|| format!("`{}` answers something else than an enrolment", pasted.url))
}

/// The words of an error envelope, or the beginning of whatever came.
fn refusal(body: &[u8]) -> String {
    let envelope = serde_json::from_slice::<serde_json::Value>(body).ok();
    let message = envelope.as_ref().and_then(|value| value.pointer("/error/message")?.as_str());
    let text = message.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

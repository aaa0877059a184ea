//! `login` and `logout`: a profile is kept only once the issuer has given a token for it.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use super::Context;
use crate::failure::{Failure, Status};
use crate::output::shown;
use crate::profile::{Cloud, Profile, Proof, Session, Store};
use crate::sign_in::{Claims, Granted, Issuer, SignIn};
use crate::transport;

#[derive(clap::Args)]
pub struct Login {
    /// Address of the server, such as https://jumpbag.example
    #[arg(
        long,
        value_name = "URL",
        env = "JUMPBAG_URL",
        conflicts_with = "cloud",
        required_unless_present = "cloud"
    )]
    url: Option<String>,
    /// The original's: commercial, us, eu, uk, au, swa, ina, gcc, gcc-high or dod
    #[arg(long, value_name = "NAME")]
    cloud: Option<String>,
    /// Where to sign in, when that is not the server itself: https://login.microsoftonline.com, …
    #[arg(long, value_name = "URL", env = "JUMPBAG_AUTHORITY")]
    authority: Option<String>,
    /// Tenant at Entra ID; jumpbag needs none: without one the authority's discovery document is asked
    #[arg(long, value_name = "GUID", env = "JUMPBAG_TENANT")]
    tenant: Option<String>,
    /// The app registration to sign in with; by device code at jumpbag itself none is needed
    #[arg(long, value_name = "GUID", env = "JUMPBAG_CLIENT_ID")]
    client_id: Option<String>,
    /// Prove it by certificate (PEM) instead of by a secret, which is asked for or read from standard input
    #[arg(long, value_name = "FILE", env = "JUMPBAG_CERTIFICATE")]
    certificate: Option<PathBuf>,
    /// The certificate's private key (PEM), if it is not in the same file
    #[arg(long, value_name = "FILE", env = "JUMPBAG_CERTIFICATE_KEY", requires = "certificate")]
    certificate_key: Option<PathBuf>,
    /// Sign in as a user, in a browser on any device
    #[arg(long, conflicts_with = "certificate")]
    device_code: bool,
    /// Scope to ask for, where the issuer wants another than the original's
    #[arg(long, value_name = "SCOPE", env = "JUMPBAG_SCOPE")]
    scope: Option<String>,
    /// Certificates (PEM) to trust besides the system's
    #[arg(long, value_name = "FILE", env = "JUMPBAG_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// Let the secret go over HTTP to another machine
    #[arg(long, env = "JUMPBAG_PLAIN_HTTP")]
    plain_http: bool,
    /// Keep the secret in the operating system's keyring
    #[arg(long)]
    keyring: bool,
}

/// The profile of whoever does not name one.
const DEFAULT: &str = "default";

pub async fn login(context: &Context, login: Login) -> Result<Status, Failure> {
    let name = context.profile.clone().unwrap_or_else(|| DEFAULT.into());
    let mut profile = match &login.cloud {
        Some(cloud) => Cloud::named(cloud)?.profile(),
        None => Profile { url: login.url.clone().unwrap_or_default(), ..Profile::default() },
    };
    profile.authority = login.authority.clone().or(profile.authority);
    profile.scope = login.scope.clone().or(profile.scope);
    profile.tenant = login.tenant.clone();
    profile.client_id = Some(client_id(&login, &profile)?);
    profile.ca_file = login.ca_file.as_deref().map(absolute).transpose()?;
    profile.plain_http = login.plain_http;
    profile.keyring = login.keyring;
    profile.check("--url")?;
    let http = transport::client(&profile)?;
    let (proof, granted) = if login.device_code {
        let (proof, granted) = by_device(context, &profile, http.clone()).await?;
        (proof, Some(granted))
    } else {
        (by_client(&login)?, None)
    };
    profile.proof = Some(proof);
    // Only what works is kept, with the token, which the next command uses.
    let session = Session { name: Some(name.clone()), profile: profile.clone() };
    let sign_in = SignIn::new(session, http);
    let token = sign_in.first(granted).await?;
    Store::sign_in(&name, profile.clone())?;
    let claims = Claims::of(&token.access).unwrap_or_default();
    let who = claims.user.or(claims.name).or(claims.app).or(profile.client_id).unwrap_or_default();
    context.output.said(format!("signed in to {} as {}, profile `{name}`", profile.url, shown(&who)))?;
    if claims.permissions.is_empty() {
        context
            .output
            .warn("the token grants no permission that it names: is `Library.Manage` granted to the app?");
    }
    Ok(Status::Done)
}

/// The registration of the command line, which every jumpbag has.
const OWN_CLIENT: &str = "jumpbag-cli";

fn client_id(login: &Login, profile: &Profile) -> Result<String, Failure> {
    let given = login.client_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
    let itself = login.cloud.is_none() && profile.authority() == profile.url;
    match given {
        Some(id) => Ok(id.to_owned()),
        None if login.device_code && itself => Ok(OWN_CLIENT.to_owned()),
        None => Err(Failure::Usage(
            "no client id: give `--client-id` (JUMPBAG_CLIENT_ID); only by `--device-code` at jumpbag itself none is needed"
                .into(),
        )),
    }
}

fn by_client(login: &Login) -> Result<Proof, Failure> {
    if let Some(certificate) = &login.certificate {
        let key = login.certificate_key.as_ref().unwrap_or(certificate);
        return Ok(Proof::Certificate { certificate: absolute(certificate)?, key: absolute(key)? });
    }
    if let Some(secret) = std::env::var("JUMPBAG_CLIENT_SECRET").ok().filter(|secret| !secret.is_empty()) {
        return Ok(Proof::ClientSecret(secret));
    }
    let secret = if std::io::stdin().is_terminal() {
        let terminal = console::Term::stderr();
        let asked =
            terminal.write_str("Client secret (not shown): ").and_then(|()| terminal.read_secure_line());
        asked.map_err(|e| Failure::Usage(format!("cannot ask for the secret: {e}")))?
    } else {
        let mut text = String::new();
        // A secret is short; whatever is longer was not meant for this.
        let read = std::io::stdin().lock().take(16 * 1024).read_to_string(&mut text);
        read.map_err(|e| Failure::Usage(format!("cannot read the secret from standard input: {e}")))?;
        text
    };
    match secret.trim() {
        "" => Err(Failure::Usage(
            "the client secret is empty: type it, pipe it in, or set JUMPBAG_CLIENT_SECRET".into(),
        )),
        secret => Ok(Proof::ClientSecret(secret.to_owned())),
    }
}

async fn by_device(
    context: &Context,
    profile: &Profile,
    http: reqwest::Client,
) -> Result<(Proof, Granted), Failure> {
    let issuer = Issuer::new(http, profile);
    let prompt = issuer.begin_device(profile).await?;
    context.output.line(format!(
        "Open {} and enter the code {}",
        shown(&prompt.verification_uri),
        shown(&prompt.user_code)
    ))?;
    context.progress_line(format!(
        "waiting for the sign-in, {} minutes at most",
        prompt.expires_in.div_ceil(60)
    ));
    let granted = issuer.finish_device(profile, &prompt).await?;
    let proof = match &granted.refresh {
        Some(refresh) => Proof::RefreshToken(refresh.clone()),
        None => Proof::Token(granted.access.clone()),
    };
    Ok((proof, granted))
}

impl Context {
    fn progress_line(&self, text: String) {
        if !self.output.quiet {
            self.output.warn(text);
        }
    }
}

fn absolute(path: impl AsRef<std::path::Path>) -> Result<PathBuf, Failure> {
    let path = path.as_ref();
    path.canonicalize().map_err(|e| Failure::file("read", path, &e))
}

pub fn logout(context: &Context) -> Result<Status, Failure> {
    let (name, _) = Store::read()?.profile(context.profile.as_deref())?;
    crate::sign_in::forget(&name);
    Store::sign_out(&name)?;
    context.output.said(format!("forgot profile `{name}` and its secret"))?;
    Ok(Status::Done)
}

//! `serve`: starts everything, says where it is, and stops cleanly.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jumpbag_wire::time::Timestamp;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Failure, room};
use crate::access::clients::{self, By, NewClient, Registered};
use crate::access::setup;
use crate::app::{App, Stores};
use crate::auth::permission::Permission;
use crate::auth::secret::Hidden;
use crate::catalog::LOG_TARGET;
use crate::config::{Settings, Tls};
use crate::http::{ops, serve, tls};
use crate::webhooks::deliver;

/// A line for whoever started the server. Nobody may be reading any more, and that must not stop a stop.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// Rounds after which changes without a pause are followed all the same.
const FOLLOW_AT_LEAST: u32 = 30;
const EXPIRE_EVERY: Duration = Duration::from_secs(5);
/// How often the last sight of connected machines is written down.
const SEEN_EVERY: Duration = Duration::from_secs(300);
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// Sweeps between two walks over all blobs: a day.
const OWNERLESS_EVERY: u64 = 144;

pub async fn run(mut settings: Settings) -> Result<(), Failure> {
    log(&settings);
    room::make(&mut settings);
    let stores = Stores::open(&settings).await?;
    stores.blobs.probe().await?;
    // Everything that can go wrong comes before the first client, whose secret is shown only once.
    let identity = tls::identity(&settings).map_err(Failure::Said)?;
    let listener = bind(settings.listen, "listen").await?;
    let ops_listener = match settings.ops_listen {
        Some(address) => Some(bind(address, "ops_listen").await?),
        None => None,
    };
    let scheme = if identity.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", address(&listener)?);
    let now = Timestamp::now();
    let (_, fresh) = clients::tenant(&stores.catalog, now).await?;
    let app = Arc::new(App::new(settings, stores, now).await?);
    let first = if fresh { Some(First::make(&app, now).await?) } else { None };

    let (stop, stopped) = watch::channel(false);
    let config = identity.as_ref().map(|identity| Arc::clone(&identity.config));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(serve::serve(Arc::clone(&app), listener, config, stopped.clone()));
    if let Some(identity) = identity {
        tasks.spawn(identity.follow(stopped.clone()));
    }
    tasks.spawn(news(Arc::clone(&app), stopped.clone()));
    tasks.spawn(deliver::run(Arc::clone(&app), stopped.clone(), Timestamp::now));
    tasks.spawn(sweep(Arc::clone(&app), stopped.clone()));
    tasks.spawn(seal(Arc::clone(&app), stopped.clone()));
    tasks.spawn(follow(Arc::clone(&app), stopped.clone()));
    tasks.spawn(wake(Arc::clone(&app), stopped.clone()));
    tasks.spawn(attend(Arc::clone(&app), stopped.clone()));
    tasks.spawn(expire(Arc::clone(&app), stopped.clone()));
    welcome(&app, &url, first).await?;
    if let Some(listener) = ops_listener {
        say!("operations on http://{}", address(&listener)?);
        tasks.spawn(ops::serve(Arc::clone(&app), listener, stopped));
    }
    say!("jumpbag-server listening on {url}");

    until_told().await?;
    say!("stopping: requests under way may finish");
    let _ = stop.send(true);
    while tasks.join_next().await.is_some() {}
    // What the last requests changed is sealed as well.
    seal_once(&app).await;
    say!("stopped");
    Ok(())
}

fn log(settings: &Settings) {
    use tracing_subscriber::prelude::*;
    let level = level(settings);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry();
    // Only a subscriber set before this one could make it fail, and none is.
    let _ = if settings.log_json {
        registry.with(layer.json().flatten_event(true).with_filter(level)).try_init()
    } else {
        registry
            .with(layer.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).with_filter(level))
            .try_init()
    };
}

/// PostgreSQL's notices are not for operators, unless they ask.
fn level(settings: &Settings) -> tracing_subscriber::filter::Targets {
    let level: tracing_subscriber::filter::Targets = settings.log_level.parse().unwrap_or_default();
    if settings.log_level.contains(LOG_TARGET) {
        return level;
    }
    level.with_target(LOG_TARGET, tracing::Level::WARN)
}

async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|e| Failure::Said(format!("cannot listen on {address} (setting `{key}`): {e}")))
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|e| Failure::Said(e.to_string()))
}

/// What a first start makes, and shows once.
struct First {
    client: Registered,
    /// The code of the link to the first user.
    setup: Hidden,
}

impl First {
    async fn make(app: &App, now: Timestamp) -> Result<First, Failure> {
        let new = NewClient {
            id: None,
            name: "first client".into(),
            permissions: vec![Permission::LibraryManage],
            secret: None,
            certificate: None,
            expires: None,
            public: false,
            redirects: Vec::new(),
        };
        let client = clients::add(&app.catalog, new, By::operator("serve"), now).await?;
        Ok(First { client, setup: setup::offer(&app.catalog, now).await? })
    }
}

/// What a person needs to know first.
async fn welcome(app: &App, url: &str, first: Option<First>) -> Result<(), Failure> {
    let (files, _) = app.library.size().await?;
    let database = app.settings.database_url.as_ref().map_or_else(
        || app.settings.data_dir.join("catalog.db").display().to_string(),
        |_| "PostgreSQL".to_owned(),
    );
    let blobs = app
        .settings
        .blob_url
        .clone()
        .unwrap_or_else(|| app.settings.data_dir.join("blobs").display().to_string());
    say!("database: {database}, blobs: {blobs}, files in the library: {files}");
    let Some(First { client: Registered { tenant, client, secret: Some(secret) }, setup }) = first else {
        return Ok(());
    };
    let client_id = client.id;
    let curl = if app.settings.tls == Tls::SelfSigned {
        format!("curl -s --cacert {}", app.settings.data_dir.join("tls/cert.pem").display())
    } else {
        "curl -s".to_owned()
    };
    say!(
        r#"
First start. Two ways in, both shown only now.

For programs: this app registration may manage the library.

  tenant         {tenant}
  client id      {client_id}
  client secret  {secret}

Try it: get a token, upload a file, list the library.

  TOKEN=$({curl} {url}/{tenant}/oauth2/v2.0/token -d grant_type=client_credentials -d client_id={client_id} -d client_secret={secret} -d scope=https://api.securitycenter.microsoft.com/.default | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  echo 'Get-Process' > triage.ps1; {curl} {url}/api/libraryfiles -H "Authorization: Bearer $TOKEN" -F file=@triage.ps1 -F Description='First script' -F OverrideIfExists=true
  {curl} {url}/api/libraryfiles -H "Authorization: Bearer $TOKEN"

For people: open this within a day, and choose a name and a password.

  {front}/setup?code={setup}
"#,
        front = app.settings.public_url.as_deref().unwrap_or(url),
        setup = setup.reveal(),
        secret = secret.reveal()
    );
    Ok(())
}

async fn news(app: Arc<App>, stop: watch::Receiver<bool>) {
    app.news.follow(&app.catalog, stop).await;
}

async fn sweep(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    for round in 0u64.. {
        let now = Timestamp::now();
        if let Err(e) = app.machines.tell_left_out(now).await {
            tracing::error!(
                error = e.chain(),
                "refused machines were not written down: the log tells of them"
            );
        }
        let mut outcome = app.sweep(now).await;
        if outcome.is_ok() && round.is_multiple_of(OWNERLESS_EVERY) {
            outcome = app.sweep_ownerless(now).await;
        }
        if let Err(e) = outcome {
            app.metrics.sweep_failed();
            tracing::error!(error = e.chain(), "sweep failed: it is tried again later");
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
    }
}

/// Brings what `$search` looks into up to date when changes pause, or after a while when they do not: a search that
/// comes before does it itself.
async fn follow(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let (mut seen, mut rounds) = (-1, 0);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(FOLLOW_EVERY) => rounds += 1,
        }
        let followed = async {
            let newest = app.library.last_change().await?;
            let pause = std::mem::replace(&mut seen, newest) == newest;
            if pause || rounds >= FOLLOW_AT_LEAST {
                rounds = 0;
                app.library.follow().await?;
            }
            Ok::<_, crate::error::Error>(())
        };
        if let Err(e) = followed.await {
            tracing::error!(error = e.chain(), "the search index is not up to date: it is tried again");
        }
    }
}

async fn seal(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let every = Duration::from_secs(app.settings.audit_checkpoint_seconds);
    loop {
        seal_once(&app).await;
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

async fn seal_once(app: &App) {
    if let Err(e) = app.seal_audit(Timestamp::now()).await {
        tracing::error!(error = e.chain(), "the audit log was not sealed: it is tried again later");
    }
}

/// Tells connected agents of what concerns them.
async fn wake(app: Arc<App>, stop: watch::Receiver<bool>) {
    app.hub.follow(&app.catalog, app.news.subscribe(), stop).await;
}

/// Writes down that connected machines are there, and cuts off those that should not be.
async fn attend(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(SEEN_EVERY) => {}
        }
        match app.machines.seen(app.hub.machines(), Timestamp::now()).await {
            Ok(strangers) => strangers.iter().for_each(|machine| app.hub.cut(machine)),
            Err(e) => {
                tracing::error!(error = e.chain(), "who is connected was not written down: it is tried again")
            }
        }
    }
}

/// Ends actions whose time is over.
async fn expire(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EXPIRE_EVERY) => {}
        }
        if let Err(e) = app.machines.tell_left_out(Timestamp::now()).await {
            tracing::error!(
                error = e.chain(),
                "refused machines were not written down: the log tells of them"
            );
        }
        if let Err(e) = app.actions.expire(Timestamp::now()).await {
            tracing::error!(
                error = e.chain(),
                "actions whose time is over could not be ended: it is tried again"
            );
        }
    }
}

async fn until_told() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| Failure::Said(e.to_string()))?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(|e| Failure::Said(e.to_string())),
        _ = terminate.recv() => Ok(()),
    }
}

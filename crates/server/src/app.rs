//! App: the one struct that holds everything a request may need.

use std::sync::Arc;
use std::time::Duration;

use jumpbag_wire::time::Timestamp;

use crate::access::Access;
use crate::actions::{self, Actions};
use crate::agents::{AgentKey, Hub};
use crate::audit::Audit;
use crate::blobs::BlobStore;
use crate::catalog::Catalog;
use crate::config::Settings;
use crate::library::name::Strictness;
use crate::library::sweep::STAGED_GRACE_SECS;
use crate::library::{Library, Quotas, Rules};
use crate::limit::{Calls, Limiter};
use crate::machines::Machines;
use crate::metrics::Metrics;
use crate::news::News;
use crate::rendered::Cache;
use crate::webhooks::{self, Webhooks};

pub struct App {
    pub settings: Settings,
    /// The id of the tenant served here.
    pub tenant: String,
    pub catalog: Arc<Catalog>,
    pub blobs: BlobStore,
    pub library: Library,
    pub access: Access,
    pub audit: Audit,
    pub limiter: Limiter,
    pub metrics: Metrics,
    pub news: News,
    pub webhooks: Webhooks,
    pub machines: Machines,
    pub actions: Actions,
    pub agent_key: AgentKey,
    /// The agents that are connected here.
    pub hub: Arc<Hub>,
    pub listings: Cache,
}

/// The SQLite database in the data folder.
const DATABASE: &str = "catalog.db";

/// The database and the blob store that the settings name, made ready.
pub struct Stores {
    pub catalog: Arc<Catalog>,
    pub blobs: BlobStore,
}

impl Stores {
    /// For commands that look at an installation rather than begin one.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub async fn open_existing(settings: &Settings) -> Result<Stores, crate::error::Error> {
        let database = settings.data_dir.join(DATABASE);
        if settings.database_url.is_none() && !database.is_file() {
            return Err(crate::error::Error::NotFound(format!(
                "no installation in `{}`: there is no `{DATABASE}`; name another with --data-dir, or begin one with `serve`",
                settings.data_dir.display()
            )));
        }
        Stores::open(settings).await
    }

    /// Opens them, or begins an installation where there is none.
    ///
    /// # Errors
    /// Which of them cannot be used, and why.
    pub async fn open(settings: &Settings) -> Result<Stores, crate::error::Error> {
        let folder = &settings.data_dir;
        crate::files::create_private_dir(folder).map_err(|e| {
            crate::error::Error::Internal(format!("cannot create data folder `{}`: {e}", folder.display()))
        })?;
        let catalog = match &settings.database_url {
            Some(url) => Catalog::open_postgres(url, settings.database_connections).await?,
            None => Catalog::open_sqlite(&folder.join(DATABASE)).await?,
        };
        let blobs = match &settings.blob_url {
            Some(url) => BlobStore::bucket(url, &settings.blob_options)?,
            None => BlobStore::folder(&folder.join("blobs"))?,
        };
        Ok(Stores { catalog: Arc::new(catalog), blobs })
    }

    pub fn library(&self, settings: &Settings) -> Library {
        let rules = Rules {
            max_file_bytes: settings.max_file_bytes,
            small_file_bytes: settings.small_file_bytes,
            names: if settings.strict_names { Strictness::Strict } else { Strictness::Relaxed },
            upload_memory_bytes: settings.upload_memory_bytes,
            retention_days: settings.retention_days,
            replaced_retention_days: settings.replaced_retention_days,
            quotas: Quotas {
                files: settings.max_files,
                bytes: settings.max_library_bytes,
                versions_per_file: settings.max_versions_per_file,
            },
        };
        Library::new(Arc::clone(&self.catalog), self.blobs.clone(), rules)
    }

    pub fn actions(&self, settings: &Settings) -> Actions {
        let rules = actions::Rules {
            queue: settings.queue_actions,
            sessions: settings.live_response_sessions,
            queue_seconds: settings.action_queue_seconds,
            script_seconds: settings.script_seconds,
            retention_days: settings.action_retention_days,
        };
        Actions::new(Arc::clone(&self.catalog), self.blobs.clone(), rules)
    }
}

impl App {
    pub async fn new(settings: Settings, stores: Stores, now: Timestamp) -> Result<App, crate::error::Error> {
        let (library, actions) = (stores.library(&settings), stores.actions(&settings));
        let Stores { catalog, blobs } = stores;
        let access = Access::open(&settings, Arc::clone(&catalog), now).await?;
        let key_file = settings.audit_key_file.as_deref();
        let audit = Audit::open(Arc::clone(&catalog), key_file, access.tenant(), now).await?;
        let per = |calls| if settings.rate_limits { calls } else { 0 };
        let calls = Calls {
            library: (per(settings.library_calls_per_minute), per(settings.library_calls_per_hour)),
            machines: (per(settings.machine_calls_per_minute), per(settings.machine_calls_per_hour)),
            live_response: per(settings.live_response_calls_per_minute),
        };
        let limiter = Limiter::new(calls, &catalog);
        let agent_key = AgentKey::ensure(&catalog, access.tenant(), now).await?;
        let hooks = webhooks::Rules {
            networks: settings.webhook_networks.clone(),
            timeout: Duration::from_secs(settings.webhook_timeout_seconds),
            retry_seconds: settings.webhook_retry_seconds,
            give_up_days: settings.webhook_give_up_days,
        };
        Ok(App {
            tenant: access.tenant().to_owned(),
            library,
            access,
            audit,
            limiter,
            metrics: Metrics::new(),
            news: News::new(settings.event_streams),
            webhooks: Webhooks::new(Arc::clone(&catalog), hooks),
            listings: Cache::default(),
            machines: Machines::new(Arc::clone(&catalog)),
            actions,
            agent_key,
            hub: Arc::new(Hub::new(settings.max_agents)),
            settings,
            catalog,
            blobs,
        })
    }

    /// Seals the audit log, and says so in the log of the process: whoever keeps that elsewhere is a witness.
    pub async fn seal_audit(&self, now: Timestamp) -> Result<(), crate::error::Error> {
        if let Some(checkpoint) = self.audit.seal(now).await? {
            tracing::info!(number = checkpoint.number, note = checkpoint.note, "audit checkpoint");
        }
        Ok(())
    }

    /// One round of housekeeping.
    pub async fn sweep(&self, now: Timestamp) -> Result<(), crate::error::Error> {
        let actions = self.actions.sweep(now).await?;
        if actions > 0 {
            tracing::info!(actions, "swept what machines did long ago");
        }
        let swept = self.library.sweep(now).await?;
        self.access.sweep(now).await?;
        self.limiter.sweep(now).await?;
        self.metrics.swept(swept.versions, swept.blobs);
        if swept.versions + swept.blobs > 0 {
            tracing::info!(versions = swept.versions, blobs = swept.blobs, "swept");
        }
        Ok(())
    }

    /// Removes what uploads left behind that were cut off: walks over all blobs.
    pub async fn sweep_ownerless(&self, now: Timestamp) -> Result<(), crate::error::Error> {
        let removed = self.library.remove_ownerless(now.plus_secs(-STAGED_GRACE_SECS)).await?;
        self.metrics.swept(0, removed);
        if removed > 0 {
            tracing::info!(blobs = removed, "swept what cut-off uploads had left");
        }
        Ok(())
    }
}

//! The settings with their types, and what each may be.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::{Layers, Problems};
use crate::auth::issuers::{IssuerConfig, clashes};
use crate::webhooks::address::Network;

/// How the API's listener speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    Off,
    SelfSigned,
    Files { certificate: PathBuf, key: PathBuf },
}

/// What the server runs with. Names and meanings are those of `jumpbag.example.toml`.
#[derive(Debug, Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    pub ops_listen: Option<SocketAddr>,
    pub public_url: Option<String>,
    pub trusted_proxies: Vec<IpAddr>,
    pub tls: Tls,
    pub max_connections: usize,
    pub max_agents: usize,
    pub shutdown_seconds: u64,
    pub data_dir: PathBuf,
    pub database_url: Option<String>,
    pub database_connections: usize,
    pub blob_url: Option<String>,
    pub blob_options: HashMap<String, String>,
    pub max_file_bytes: u64,
    pub small_file_bytes: usize,
    pub strict_names: bool,
    pub retention_days: i64,
    /// `None`: for as long as their file.
    pub replaced_retention_days: Option<i64>,
    /// `None`: no limit; so for the two that follow.
    pub max_library_bytes: Option<u64>,
    pub max_files: Option<u64>,
    pub max_versions_per_file: Option<u64>,
    pub upload_memory_bytes: usize,
    pub body_idle_seconds: u64,
    pub upload_seconds: u64,
    pub event_streams: usize,
    pub webhook_networks: Vec<Network>,
    pub webhook_timeout_seconds: u64,
    pub webhook_retry_seconds: i64,
    pub webhook_give_up_days: i64,
    pub tenant_names: Vec<String>,
    pub token_lifetime_seconds: i64,
    pub audiences: Vec<String>,
    pub issuers: Vec<IssuerConfig>,
    /// `None`: the key is in the catalog.
    pub audit_key_file: Option<PathBuf>,
    pub audit_checkpoint_seconds: u64,
    pub rate_limits: bool,
    pub library_calls_per_minute: u32,
    pub library_calls_per_hour: u32,
    pub machine_calls_per_minute: u32,
    pub machine_calls_per_hour: u32,
    pub live_response_calls_per_minute: u32,
    pub live_response_sessions: u64,
    pub queue_actions: bool,
    pub action_queue_seconds: i64,
    pub script_seconds: u64,
    pub action_retention_days: Option<i64>,
    pub log_json: bool,
    pub log_level: String,
}

/// Reads values one by one and gathers what is wrong with them.
struct Reader<'a> {
    layers: &'a Layers,
    problems: Vec<String>,
}

pub(super) fn read(layers: &Layers) -> Result<Settings, Problems> {
    let mut reader = Reader { layers, problems: layers.problems.clone() };
    let settings = reader.settings();
    match settings {
        Some(settings) if reader.problems.is_empty() => Ok(settings),
        _ => Err(Problems(reader.problems)),
    }
}

impl Reader<'_> {
    /// Every value is read, so that every problem is found, before any is missed.
    fn settings(&mut self) -> Option<Settings> {
        let listen = self.parsed("listen", "an address and port such as `127.0.0.1:8080`");
        let ops_listen =
            self.optional("ops_listen", "an address and port such as `127.0.0.1:8081`, or empty");
        let public_url = self.public_url();
        let trusted_proxies = self.list("trusted_proxies", "a list of IP addresses");
        let tls = self.tls();
        let allow_plaintext = self.boolean("allow_plaintext");
        let max_connections = self.number("max_connections", 1, 1_000_000);
        let max_agents = self.number("max_agents", 0, 1_000_000);
        let shutdown_seconds = self.number("shutdown_seconds", 0, 3600);
        let data_dir = self.filled("data_dir", "a folder").map(PathBuf::from);
        let database_url = self.database_url();
        let database_connections = self.number("database_connections", 2, 1000);
        let blob_url = self.blob_url();
        let blob_options = self.table("blob_options");
        let max_file_bytes = self.number("max_file_bytes", 1, 4 << 30);
        let small_file_bytes = self.number("small_file_bytes", 0, 1 << 20);
        let strict_names = self.boolean("strict_names");
        let retention_days = self.number("retention_days", 0, 36_500);
        let replaced_retention_days = self.number("replaced_retention_days", 0, 36_500);
        let max_library_bytes = self.number("max_library_bytes", 0, 1 << 60);
        let max_files = self.number("max_files", 0, 1 << 40);
        let max_versions_per_file = self.number("max_versions_per_file", 0, 1 << 40);
        let upload_memory_bytes = self.number("upload_memory_bytes", 1 << 20, 1 << 40);
        let body_idle_seconds = self.number("body_idle_seconds", 1, 3600);
        let upload_seconds = self.number("upload_seconds", 1, 12 * 3600);
        let event_streams = self.number("event_streams", 0, 1_000_000);
        let webhook_networks = self.list("webhook_networks", "a list of networks such as `10.0.0.0/8`");
        let webhook_timeout_seconds = self.number("webhook_timeout_seconds", 1, 60);
        let webhook_retry_seconds = self.number("webhook_retry_seconds", 1, 3600);
        let webhook_give_up_days = self.number("webhook_give_up_days", 0, 365);
        let tenant_names = self.list("tenant_names", "a list of domain names");
        let token_lifetime_seconds = self.number("token_lifetime_seconds", 60, 24 * 3600);
        let audiences = self.list("audiences", "a list of audiences");
        let issuers = self.issuers();
        let audit_key_file = self.text("audit_key_file", "a PEM file, or empty");
        let audit_checkpoint_seconds = self.number("audit_checkpoint_seconds", 1, 24 * 3600);
        let rate_limits = self.boolean("rate_limits");
        let library_calls_per_minute = self.number("library_calls_per_minute", 0, 1_000_000);
        let library_calls_per_hour = self.number("library_calls_per_hour", 0, 10_000_000);
        let machine_calls_per_minute = self.number("machine_calls_per_minute", 0, 1_000_000);
        let machine_calls_per_hour = self.number("machine_calls_per_hour", 0, 10_000_000);
        let live_response_calls_per_minute = self.number("live_response_calls_per_minute", 0, 1_000_000);
        let live_response_sessions = self.number("live_response_sessions", 1, 1_000_000);
        let queue_actions = self.boolean("queue_actions");
        let action_queue_seconds = self.number("action_queue_seconds", 1, 30 * 24 * 3600);
        let script_seconds = self.number("script_seconds", 1, 24 * 3600);
        let action_retention_days = self.number("action_retention_days", 0, 36_500);
        let log_json = self.choice("log_format", &["human", "json"]).map(|index| index == 1);
        let log_level = self.log_level();
        let settings = Settings {
            listen: listen?,
            ops_listen,
            public_url,
            trusted_proxies,
            tls: tls?,
            max_connections: max_connections? as usize,
            max_agents: max_agents? as usize,
            shutdown_seconds: shutdown_seconds?,
            data_dir: data_dir?,
            database_url,
            database_connections: database_connections? as usize,
            blob_url,
            blob_options,
            max_file_bytes: max_file_bytes?,
            small_file_bytes: small_file_bytes? as usize,
            strict_names: strict_names?,
            retention_days: retention_days? as i64,
            replaced_retention_days: limit(replaced_retention_days?).map(|days| days as i64),
            max_library_bytes: limit(max_library_bytes?),
            max_files: limit(max_files?),
            max_versions_per_file: limit(max_versions_per_file?),
            upload_memory_bytes: upload_memory_bytes? as usize,
            body_idle_seconds: body_idle_seconds?,
            upload_seconds: upload_seconds?,
            event_streams: event_streams? as usize,
            webhook_networks,
            webhook_timeout_seconds: webhook_timeout_seconds?,
            webhook_retry_seconds: webhook_retry_seconds? as i64,
            webhook_give_up_days: webhook_give_up_days? as i64,
            tenant_names,
            token_lifetime_seconds: token_lifetime_seconds? as i64,
            audiences,
            issuers,
            audit_key_file: audit_key_file.filter(|file| !file.is_empty()).map(PathBuf::from),
            audit_checkpoint_seconds: audit_checkpoint_seconds?,
            rate_limits: rate_limits?,
            library_calls_per_minute: library_calls_per_minute? as u32,
            library_calls_per_hour: library_calls_per_hour? as u32,
            machine_calls_per_minute: machine_calls_per_minute? as u32,
            machine_calls_per_hour: machine_calls_per_hour? as u32,
            live_response_calls_per_minute: live_response_calls_per_minute? as u32,
            live_response_sessions: live_response_sessions?,
            queue_actions: queue_actions?,
            action_queue_seconds: action_queue_seconds? as i64,
            script_seconds: script_seconds?,
            action_retention_days: limit(action_retention_days?).map(|days| days as i64),
            log_json: log_json?,
            log_level,
        };
        self.check_plaintext(&settings, allow_plaintext?);
        Some(settings)
    }

    fn check_plaintext(&mut self, settings: &Settings, allowed: bool) {
        if settings.tls == Tls::Off && !settings.listen.ip().is_loopback() && !allowed {
            self.problem(
                "listen",
                "a loopback address while `tls` is \"off\", because tokens travel here: set `tls`, or \
                 `allow_plaintext = true` behind a proxy that does TLS",
            );
        }
    }

    fn value(&self, key: &str) -> toml::Value {
        self.layers.values.get(key).map_or(toml::Value::Boolean(false), |(value, _)| value.clone())
    }

    fn problem(&mut self, key: &str, expected: &str) {
        let Some((value, origin)) = self.layers.values.get(key) else {
            return self.problems.push(format!("`{key}`: not among the defaults"));
        };
        self.problems.push(format!("`{key}` = {} ({origin}): expected {expected}", shown(key, value)));
    }

    fn text(&mut self, key: &str, expected: &str) -> Option<String> {
        match self.value(key) {
            toml::Value::String(text) => Some(text),
            _ => {
                self.problem(key, expected);
                None
            }
        }
    }

    fn filled(&mut self, key: &str, expected: &str) -> Option<String> {
        let text = self.text(key, expected)?;
        if text.is_empty() {
            self.problem(key, expected);
            return None;
        }
        Some(text)
    }

    fn parsed<T: std::str::FromStr>(&mut self, key: &str, expected: &str) -> Option<T> {
        let parsed = self.text(key, expected)?.parse().ok();
        if parsed.is_none() {
            self.problem(key, expected);
        }
        parsed
    }

    fn optional<T: std::str::FromStr>(&mut self, key: &str, expected: &str) -> Option<T> {
        if matches!(self.value(key), toml::Value::String(text) if text.is_empty()) {
            return None;
        }
        self.parsed(key, expected)
    }

    fn boolean(&mut self, key: &str) -> Option<bool> {
        match self.value(key) {
            toml::Value::Boolean(value) => Some(value),
            toml::Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            toml::Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => {
                self.problem(key, "`true` or `false`");
                None
            }
        }
    }

    fn number(&mut self, key: &str, min: u64, max: u64) -> Option<u64> {
        let number = match self.value(key) {
            toml::Value::Integer(number) => u64::try_from(number).ok().filter(|n| (min..=max).contains(n)),
            _ => None,
        };
        if number.is_none() {
            self.problem(key, &format!("a whole number from {min} to {max}"));
        }
        number
    }

    fn list<T: std::str::FromStr>(&mut self, key: &str, expected: &str) -> Vec<T> {
        let items = match self.value(key) {
            toml::Value::Array(items) => {
                items.iter().map(|item| item.as_str().and_then(|text| text.parse().ok())).collect()
            }
            _ => None,
        };
        items.unwrap_or_else(|| {
            self.problem(key, expected);
            Vec::new()
        })
    }

    fn table(&mut self, key: &str) -> HashMap<String, String> {
        let entries = match self.value(key) {
            toml::Value::Table(table) => {
                table.into_iter().map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
            }
            _ => None,
        };
        entries.unwrap_or_else(|| {
            self.problem(key, "a table of texts such as `{ aws_region = \"eu-central-1\" }`");
            HashMap::new()
        })
    }

    fn choice(&mut self, key: &str, choices: &[&str]) -> Option<usize> {
        let expected = choices.iter().map(|choice| format!("\"{choice}\"")).collect::<Vec<_>>().join(" or ");
        let text = self.text(key, &expected)?;
        let index = choices.iter().position(|choice| *choice == text);
        if index.is_none() {
            self.problem(key, &expected);
        }
        index
    }

    fn public_url(&mut self) -> Option<String> {
        let url: url::Url =
            self.optional("public_url", "an address such as `https://bag.example.org`, or empty")?;
        if url.cannot_be_a_base() || url.path() != "/" || !["http", "https"].contains(&url.scheme()) {
            self.problem("public_url", "scheme and host without a path, such as `https://bag.example.org`");
            return None;
        }
        Some(url.origin().ascii_serialization())
    }

    fn tls(&mut self) -> Option<Tls> {
        let choice = self.choice("tls", &["off", "self-signed", "files"])?;
        let certificate = self.text("tls_certificate", "a PEM file")?;
        let key = self.text("tls_key", "a PEM file")?;
        match choice {
            0 => Some(Tls::Off),
            1 => Some(Tls::SelfSigned),
            _ => {
                for (name, value) in [("tls_certificate", &certificate), ("tls_key", &key)] {
                    if value.is_empty() {
                        self.problem(name, "a PEM file, because `tls` is \"files\"");
                    }
                }
                Some(Tls::Files { certificate: certificate.into(), key: key.into() })
            }
        }
    }

    fn database_url(&mut self) -> Option<String> {
        let expected = "an address such as `postgres://user:password@host/database`, or empty";
        let url: String = self.optional("database_url", expected)?;
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            self.problem("database_url", expected);
        }
        Some(url)
    }

    fn blob_url(&mut self) -> Option<String> {
        let expected = "an address such as `s3://bucket/prefix`, `az://container/prefix` or `gs://bucket/prefix`, or empty";
        let url: String = self.optional("blob_url", expected)?;
        if !["s3://", "az://", "gs://"].iter().any(|scheme| url.starts_with(scheme)) {
            self.problem("blob_url", expected);
        }
        Some(url)
    }

    fn issuers(&mut self) -> Vec<IssuerConfig> {
        let issuers = match self.value("issuers").try_into::<Vec<IssuerConfig>>() {
            Ok(issuers) => issuers,
            Err(e) => {
                let message = e.message();
                self.problem(
                    "issuers",
                    &format!("a list of tables with `issuer` and `audiences` ({message})"),
                );
                return Vec::new();
            }
        };
        let problems = issuers.iter().flat_map(IssuerConfig::problems).chain(clashes(&issuers));
        self.problems.extend(problems.map(|problem| format!("`issuers`: {problem}")));
        issuers
    }

    fn log_level(&mut self) -> String {
        let expected = "error, warn, info, debug, trace, or a filter such as `info,hyper=warn`";
        let level = self.filled("log_level", expected).unwrap_or_default();
        if level.parse::<tracing_subscriber::filter::Targets>().is_err() {
            self.problem("log_level", expected);
        }
        level
    }
}

/// 0 stands for no limit.
fn limit(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
}

/// A value for people: secrets starred.
pub(super) fn shown(key: &str, value: &toml::Value) -> String {
    match (key, value) {
        ("database_url" | "blob_url", toml::Value::String(text)) => format!("\"{}\"", without_password(text)),
        ("blob_options", toml::Value::Table(table)) => {
            let starred = table.iter().map(|(name, value)| {
                let secret = ["key", "secret", "token", "password", "sas", "credential"];
                let lower = name.to_ascii_lowercase();
                let hide = secret.iter().any(|word| lower.contains(word));
                if hide || !value.is_str() {
                    format!("{name} = \"***\"")
                } else {
                    format!("{name} = {value}")
                }
            });
            format!("{{ {} }}", starred.collect::<Vec<_>>().join(", "))
        }
        // Not a table, but it may hold a secret all the same.
        ("blob_options", _) => "***".into(),
        ("issuers", toml::Value::Array(issuers)) => {
            let mut issuers = issuers.clone();
            let sign_in = issuers.iter_mut().filter_map(|issuer| issuer.get_mut("sign_in")?.as_table_mut());
            // By what it looks like: one that is misspelt is a secret too.
            for (_, secret) in
                sign_in.flatten().filter(|(key, _)| key.contains("secret") && !key.ends_with("_file"))
            {
                *secret = "***".into();
            }
            toml::Value::Array(issuers).to_string()
        }
        ("issuers", _) => "***".into(),
        _ => value.to_string(),
    }
}

fn without_password(text: &str) -> String {
    match url::Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            let _ = url.set_password(Some("***"));
            url.to_string()
        }
        Ok(url) if url.query().is_some_and(|query| query.contains("password")) => {
            format!("{}?***", &url[..url::Position::AfterPath])
        }
        Ok(url) if url.has_host() => text.to_owned(),
        Err(_) if text.is_empty() => String::new(),
        // Not an address (`user:password@host` looks like one), but it may hold a password all the same.
        _ => "***".into(),
    }
}

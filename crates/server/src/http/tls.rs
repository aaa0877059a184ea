//! Certificates: a self-signed one made on first start, or files that are read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;

use crate::config::{Settings, Tls};

const LOOK: Duration = Duration::from_secs(5);

/// Certificate and key in use.
pub struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    pub config: Arc<ArcSwap<ServerConfig>>,
}

/// What the settings ask for; `None` is plain HTTP.
///
/// # Errors
/// Which file cannot be used, and why.
pub fn identity(settings: &Settings) -> Result<Option<Identity>, String> {
    let (certificate, key) = match &settings.tls {
        Tls::Off => return Ok(None),
        Tls::Files { certificate, key } => (certificate.clone(), key.clone()),
        Tls::SelfSigned => self_signed(&settings.data_dir.join("tls"), settings)?,
    };
    let config = Arc::new(ArcSwap::from_pointee(load(&certificate, &key)?));
    Ok(Some(Identity { certificate, key, config }))
}

fn load(certificate: &Path, key: &Path) -> Result<ServerConfig, String> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| format!("cannot read certificates from `{}`: {e}", certificate.display()))?;
    if chain.is_empty() {
        return Err(format!("`{}` holds no certificate in PEM form", certificate.display()));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|e| format!("cannot read a private key from `{}`: {e}", key.display()))?;
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private).map_err(|e| {
            format!(
                "certificate `{}` and key `{}` do not work together: {e}",
                certificate.display(),
                key.display()
            )
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A certificate for this machine's usual names, kept in `folder`.
fn self_signed(folder: &Path, settings: &Settings) -> Result<(PathBuf, PathBuf), String> {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    let ip = settings.listen.ip();
    if !ip.is_unspecified() && !ip.is_loopback() {
        names.push(ip.to_string());
    }
    let public = settings.public_url.as_deref().and_then(|url| url::Url::parse(url).ok());
    names.extend(public.and_then(|url| url.host_str().map(str::to_owned)));
    names.dedup();
    let made =
        rcgen::generate_simple_self_signed(names).map_err(|e| format!("cannot make a certificate: {e}"))?;
    let written = crate::files::create_private_dir(folder)
        .and_then(|()| crate::files::write_private(&key, made.signing_key.serialize_pem().as_bytes()))
        .and_then(|()| std::fs::write(&certificate, made.cert.pem()));
    written.map_err(|e| format!("cannot keep a certificate in `{}`: {e}", folder.display()))?;
    Ok((certificate, key))
}

impl Identity {
    /// Looks after the files: new ones are used for new connections, ones that cannot be used are not.
    pub async fn follow(self, mut stop: watch::Receiver<bool>) {
        let mut seen = self.modified();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let now = self.modified();
            if now == seen {
                continue;
            }
            seen = now;
            match load(&self.certificate, &self.key) {
                Ok(config) => {
                    self.config.store(Arc::new(config));
                    tracing::info!(certificate = %self.certificate.display(), "certificate was read again");
                }
                Err(problem) => tracing::error!(problem, "the certificate in use stays"),
            }
        }
    }

    fn modified(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key]
            .map(|file| std::fs::metadata(file).and_then(|meta| meta.modified()).ok())
    }
}

//! TLS towards the server: the operating system's roots, or those of one file instead.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_rustls::TlsConnector;

use super::Stream;
use crate::error::{Context, Error, Result};

/// TLS over a stream to `host`.
///
/// # Errors
/// When the certificate is not for that host, or by nobody who is trusted.
pub async fn secure(stream: Stream, host: &str, ca: Option<&Path>) -> Result<Stream> {
    let name = ServerName::try_from(host.to_owned())
        .context(|| format!("`{host}` cannot be the name of a server with TLS"))?;
    let connector = TlsConnector::from(Arc::new(config(ca)?));
    let stream =
        connector.connect(name, stream).await.context(|| format!("cannot speak TLS with `{host}`"))?;
    Ok(Box::new(stream))
}

/// It is made for each connection, so that changed roots count and idle agents do not hold them twice.
fn config(ca: Option<&Path>) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context(|| "cannot set up TLS".into())?;
    let builder = match ca {
        Some(path) => builder.with_root_certificates(roots(path)?),
        None => builder
            .with_platform_verifier()
            .context(|| "cannot read the certificates that this machine trusts".into())?,
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificates of a file.
///
/// # Errors
/// When it cannot be read, or there is none in it.
pub fn roots(path: &Path) -> Result<RootCertStore> {
    let wrong = || format!("cannot take trusted certificates from `{}`", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).context(wrong)? {
        roots.add(certificate.context(wrong)?).context(wrong)?;
    }
    if roots.is_empty() {
        return Err(Error::new(format!("{}: there is none in it", wrong())));
    }
    Ok(roots)
}

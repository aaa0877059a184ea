//! The way to the server: a stream over TCP, through a proxy where one is set, with TLS where the address says so.
//! The agent only ever dials out.

pub mod http;
pub mod proxy;
pub mod tls;

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::error::{Context, Error, Result};
use proxy::Proxy;

const PATIENCE: Duration = Duration::from_secs(30);

/// Anything bytes go through both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub type Stream = Box<dyn Duplex>;

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub tls: bool,
    /// Without brackets.
    pub host: String,
    pub port: u16,
    /// What comes before the paths of the protocol, without a slash at its end.
    base: String,
}

impl Server {
    /// # Errors
    /// When it is not `http[s]://host[:port][/base]`.
    pub fn parse(url: &str) -> Result<Server> {
        let wrong = || Error::new(format!("`{url}` is not a server's address: `https://host[:port]` is one"));
        let uri = url.parse::<Uri>().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') || uri.query().is_some() || authority.host().is_empty() {
            return Err(wrong());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match authority.port_u16() {
            Some(port) => port,
            None if authority.as_str().ends_with(authority.host()) => [80, 443][usize::from(tls)],
            None => return Err(wrong()),
        };
        Ok(Server { tls, host, port, base: uri.path().trim_end_matches('/').to_owned() })
    }

    /// `host:port` as HTTP writes it.
    pub fn authority(&self) -> String {
        let Server { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// A path of the protocol on this server.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// A stream to the server.
///
/// # Errors
/// When it cannot be reached within half a minute, or is not who it should be.
pub async fn open(server: &Server, proxy: Option<&Proxy>, ca: Option<&Path>) -> Result<Stream> {
    let opening = async {
        let stream: Stream = match proxy {
            Some(proxy) => {
                let stream = dial(&proxy.host, proxy.port).await?;
                Box::new(proxy.connect(stream, &server.authority()).await?)
            }
            None => Box::new(dial(&server.host, server.port).await?),
        };
        if server.tls { tls::secure(stream, &server.host, ca).await } else { Ok(stream) }
    };
    tokio::time::timeout(PATIENCE, opening).await.unwrap_or_else(|_| {
        Err(Error::new(format!("`{}` did not answer in {} seconds", server.authority(), PATIENCE.as_secs())))
    })
}

async fn dial(host: &str, port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((host, port))
        .await
        .context(|| format!("cannot connect to `{host}` port {port}"))?;
    stream.set_nodelay(true).context(|| "cannot set up the connection".into())?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (url, tls, host, port, path) in [
            ("https://jumpbag.example", true, "jumpbag.example", 443, "/p"),
            ("http://10.0.0.1:8080/", false, "10.0.0.1", 8080, "/p"),
            ("https://[::1]:8443/edge/bag/", true, "::1", 8443, "/edge/bag/p"),
        ] {
            let server = Server::parse(url).unwrap();
            assert_eq!((server.tls, server.host.as_str(), server.port), (tls, host, port), "{url}");
            assert_eq!(server.path("/p"), path);
        }
        for url in
            ["", "jumpbag.example", "ftp://x", "https://", "https://u:p@x", "https://x:99999", "https://x?y"]
        {
            assert!(Server::parse(url).is_err(), "{url}");
        }
    }
}

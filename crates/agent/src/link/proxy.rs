//! HTTP proxies: which one to take, and how to get through it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::Uri;

use super::Server;
use crate::error::{Context, Error, Result};

/// Bytes of a proxy's answer that are read at most.
const MAX_ANSWER: usize = 16 * 1024;

/// An HTTP proxy. What it wants to know of us is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub host: String,
    pub port: u16,
    /// `user:password` in base64.
    login: Option<String>,
}

impl Proxy {
    /// # Errors
    /// When it is not `[http://][user:password@]host[:port]`.
    pub fn parse(text: &str) -> Result<Proxy> {
        // Not the text: it may hold a password.
        let wrong = || Error::new("the proxy is not `http://[user:password@]host:port`");
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri = with_scheme.parse::<Uri>().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if uri.scheme_str() != Some("http") || authority.host().is_empty() {
            return Err(wrong());
        }
        let login = authority.as_str().rsplit_once('@').map(|(login, _)| STANDARD.encode(unescape(login)));
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Proxy { host, port: authority.port_u16().unwrap_or(80), login })
    }

    /// The proxy that a setting names, or else the environment: its address. An empty one is none.
    pub fn choose(
        server: &Server,
        setting: Option<&str>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Option<String> {
        if let Some(setting) = setting {
            return Some(setting.to_owned()).filter(|setting| !setting.is_empty());
        }
        let read = |name: &str| {
            environment(name).or_else(|| environment(&name.to_lowercase())).filter(|value| !value.is_empty())
        };
        if read("NO_PROXY").is_some_and(|list| excepted(&server.host, &list)) {
            return None;
        }
        let name = if server.tls { "HTTPS_PROXY" } else { "HTTP_PROXY" };
        read(name).or_else(|| read("ALL_PROXY"))
    }

    /// Asks for a way to `target`, a `host:port`.
    ///
    /// # Errors
    /// When the proxy refuses.
    pub async fn connect(&self, mut stream: TcpStream, target: &str) -> Result<TcpStream> {
        let login = self.login.as_ref().map(|login| format!("Proxy-Authorization: Basic {login}\r\n"));
        let request =
            format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n", login.unwrap_or_default());
        let lost = || format!("the proxy `{}` port {} went away", self.host, self.port);
        stream.write_all(request.as_bytes()).await.context(lost)?;
        let mut answer = Vec::new();
        // Byte by byte: what follows the head belongs to whoever is behind the proxy.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() == MAX_ANSWER {
                return Err(Error::new(format!("the proxy `{}` answers without end", self.host)));
            }
            answer.push(stream.read_u8().await.context(lost)?);
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let status = head.parse(&answer).ok().and(head.code).unwrap_or(0);
        match status {
            200..=299 => Ok(stream),
            407 => {
                Err(Error::new(format!("the proxy `{}` wants another user and password (407)", self.host)))
            }
            _ => Err(Error::new(format!("the proxy `{}` gives no way to `{target}` ({status})", self.host))),
        }
    }
}

/// Whether a list such as `localhost,.example.com,10.0.0.1` names the host.
fn excepted(host: &str, list: &str) -> bool {
    let host = host.to_lowercase();
    list.split([',', ' ']).map(|item| item.trim().to_lowercase()).filter(|item| !item.is_empty()).any(
        |item| {
            let name = item.trim_start_matches("*.").trim_start_matches('.');
            item == "*" || host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
        },
    )
}

/// `%40` is `@`.
fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_which_proxy_unless_a_setting_does() {
        let server = Server::parse("https://bag.example.com").unwrap();
        let choose = |setting: Option<&str>, variables: &[(&str, &str)]| {
            let variables = variables.to_vec();
            let read = move |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            let chosen = Proxy::choose(&server, setting, read);
            chosen.map(|text| Proxy::parse(&text).unwrap()).map(|proxy| (proxy.host, proxy.port, proxy.login))
        };
        let proxy = |host: &str, port| Some((host.to_owned(), port, None));
        assert_eq!(choose(None, &[]), None);
        assert_eq!(choose(None, &[("HTTPS_PROXY", "http://p:3128")]), proxy("p", 3128));
        assert_eq!(choose(None, &[("https_proxy", "p")]), proxy("p", 80));
        assert_eq!(choose(None, &[("HTTP_PROXY", "http://p:3128")]), None);
        assert_eq!(choose(None, &[("ALL_PROXY", "p:1"), ("NO_PROXY", "x, .example.com")]), None);
        assert_eq!(choose(None, &[("ALL_PROXY", "p:1"), ("NO_PROXY", "ple.com")]), proxy("p", 1));
        assert_eq!(choose(Some("q:2"), &[("ALL_PROXY", "p:1"), ("NO_PROXY", "*")]), proxy("q", 2));
        assert_eq!(choose(Some(""), &[("ALL_PROXY", "p:1")]), None);
        let login = Proxy::parse("http://me:a%40b@p:3").unwrap().login.unwrap();
        assert_eq!(STANDARD.decode(login).unwrap(), b"me:a@b");
        assert!(Proxy::parse("https://p:3").is_err());
    }
}

//! How machines come in: enrolment, and TLS before everything.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jumpbag_wire::agent::{Enroll, Enrolled, enroll_text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Server, hexadecimal, verify};

impl Server {
    pub(super) async fn enroll(&self, mut stream: TcpStream) -> Option<()> {
        let mut request = Vec::new();
        let body = loop {
            stream.read_buf(&mut request).await.ok()?;
            let text = String::from_utf8_lossy(&request);
            let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            if length.is_some_and(|length| length.parse::<usize>().unwrap() == body.len()) {
                break body.to_owned();
            }
        };
        let enroll: Enroll = serde_json::from_str(&body).ok()?;
        let key = STANDARD.decode(&enroll.public_key).ok()?;
        verify(&key, &enroll_text(&enroll.token, &enroll.public_key), &enroll.signature);
        let answer = if enroll.token == "secret-1" {
            let machine_id = hexadecimal(&key)[..40].to_owned();
            let enrolled = Enrolled { machine_id, server_key: self.server_key() };
            self.state().machines.push(enroll);
            (200, serde_json::to_string(&enrolled).unwrap())
        } else {
            (403, r#"{"error":{"code":"Forbidden","message":"the token is used up"}}"#.to_owned())
        };
        let (status, text) = answer;
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        stream.write_all(answer.as_bytes()).await.ok()
    }

    /// The same server behind TLS: its address and the certificate to trust.
    pub async fn with_tls(&self) -> (String, String) {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key.into())
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (port, plain) = (listener.local_addr().unwrap().port(), self.address);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await.ok()?;
                    let mut to = TcpStream::connect(plain).await.ok()?;
                    tokio::io::copy_bidirectional(&mut stream, &mut to).await.ok()
                });
            }
        });
        (format!("localhost:{port}"), certified.cert.pem())
    }
}

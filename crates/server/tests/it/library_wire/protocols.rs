//! HTTP in all the versions and ways that clients speak it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::SOON;
use crate::support::client::{Answer, Client, http_trusting};
use crate::support::form::Form;
use crate::support::raw::Raw;
use crate::support::server::Jumpbag;

/// Request line and headers of an upload by hand, but for the empty line.
async fn head(bag: &Jumpbag, version: &str) -> String {
    let token = bag.token(&["Library.Manage"]).await;
    format!(
        "POST /api/libraryfiles HTTP/{version}\r\nhost: jumpbag.example\r\nauthorization: bearer {token}\r\n\
         content-type: {}\r\n",
        Form::CONTENT_TYPE
    )
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_told_to_go_on() {
    let bag = Jumpbag::start().await;
    let body = Form::new().file("asked.bin", vec![b'x'; 200_000]).end();
    let mut raw = Raw::connect(&bag.url()).await;
    let head = head(&bag, "1.1").await;
    raw.send(format!("{head}content-length: {}\r\nExpect: 100-continue\r\n\r\n", body.len()))
        .await
        .expect("an open connection");
    let go_on = raw.response(SOON).await.expect("a response before the body");
    assert_eq!(go_on.status, 100);
    raw.send(&body).await.expect("an open connection");
    let answer = raw.response(SOON).await.expect("an answer");
    assert_eq!((answer.status, answer.json()["size"].clone()), (200, 200_000.into()));
}

#[tokio::test]
async fn a_chunked_body_cut_anywhere_is_one_body() {
    let bag = Jumpbag::start().await;
    let body = Form::new().field("Description", "d").file("chunked.bin", vec![b'x'; 100]).end();
    let head = head(&bag, "1.1").await;
    let mut raw = Raw::connect(&bag.url()).await;
    // One connection for all of them: each body is read to its end.
    for size in [1, 7, 64, body.len()] {
        let mut request = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
        let mut override_part = Form::new().field("OverrideIfExists", "true").cut(0);
        override_part.extend_from_slice(&body);
        for chunk in override_part.chunks(size) {
            request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            request.extend_from_slice(chunk);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"0\r\nx-trailer: 1\r\n\r\n");
        raw.send(request).await.expect("an open connection");
        let answer = raw.response(SOON).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["size"], 100);
    }
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let bag = Jumpbag::start().await;
    let body = Form::new().file("old.ps1", "x").end();
    let head = head(&bag, "1.0").await;
    let address = bag.url();
    let address = address.strip_prefix("http://").expect("plain http");
    let token = bag.token(&["Library.Manage"]).await;
    let upload = [format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes(), body];
    let list = format!(
        "GET /api/libraryfiles HTTP/1.0\r\nauthorization: BEARER {token}\r\nconnection: None\r\n\r\n"
    );
    for request in [upload.concat(), list.into_bytes()] {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("a listener");
        stream.write_all(&request).await.expect("an open connection");
        let mut answer = String::new();
        tokio::time::timeout(SOON, stream.read_to_string(&mut answer))
            .await
            .expect("the connection ends")
            .expect("text");
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
        assert!(!answer.contains("chunked"), "{answer}");
        assert!(answer.contains("\"fileName\":\"old.ps1\""), "{answer}");
    }
}

#[tokio::test]
async fn http_2_without_tls_and_with() {
    let plain = Jumpbag::start().await;
    let encrypted = Jumpbag::options().tls().start().await;
    let pem = std::fs::read(encrypted.ca_file()).expect("the server's certificate");
    let prior_knowledge =
        reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("an HTTP client");
    for (bag, http) in [(&plain, prior_knowledge), (&encrypted, http_trusting(&pem))] {
        let probe = http.get(format!("{}/api", bag.url())).send().await.expect("an answer");
        assert_eq!(probe.version(), http::Version::HTTP_2);
        let token = bag.token(&["Library.Manage"]).await;
        let client = Client::new(http.clone(), &bag.url(), Some(token));
        // Many at once over one connection, and small beside large.
        let uploads = (0..20_u8).map(|n| {
            let size = if n % 2 == 0 { 10 } else { 1_000_000 };
            client.upload(&format!("two-{n:02}.bin"), vec![n; size]).into_future()
        });
        let answers: Vec<Answer> = futures_util::future::join_all(uploads).await;
        for answer in answers {
            let answer = answer.expect_status(200);
            assert_eq!(
                answer.json()["@odata.context"],
                format!("{}/api/$metadata#LibraryFiles/$entity", bag.url())
            );
        }
        assert_eq!(bag.names().await.len(), 20);
        let refused = client.with_token("nonsense").upload("x", vec![0; 5_000_000]).await;
        assert_eq!((refused.status, refused.error_code().as_str()), (401, "Unauthorized"));
        client.get("/api/libraryfiles/two-00.bin").await.expect_status(200);
    }
}

#[tokio::test]
async fn requests_in_one_go_are_answered_in_their_order() {
    let bag = Jumpbag::start().await;
    let token = bag.token(&["Library.Manage"]).await;
    let get = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\r\n"
        )
    };
    let mut raw = Raw::connect(&bag.url()).await;
    raw.send(get("/api/libraryfiles") + &get("/api/absent") + &get("/api"))
        .await
        .expect("an open connection");
    for status in [200, 404, 200] {
        assert_eq!(raw.response(SOON).await.expect("an answer").status, status);
    }
}

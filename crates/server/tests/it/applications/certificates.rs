//! What is kept of a certificate: the certificate alone, whatever else the text holds.

use serde_json::{Value, json};

use super::{PATH, add, admin, show};
use crate::sign_in::text;
use crate::support::postgres::postgres_database;
use crate::support::server::Jumpbag;

/// A certificate and its private key, in PEM.
fn pair() -> (String, String) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key pair");
    let params = rcgen::CertificateParams::new(vec!["client.example".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate").pem().replace("\r\n", "\n");
    (certificate, key.serialize_pem())
}

fn body(id: &str, certificate: &str) -> Value {
    json!({
        "displayName": "x", "permissions": ["Library.Read"], "appId": id, "certificate": certificate,
    })
}

/// A text with everything that people paste, all of which has to stay out of the database but the certificate.
fn pasted(certificate: &str) -> String {
    let (other, _) = pair();
    format!("password: hunter2\0\nsubject=CN = é\n{}\0\n{other}", certificate.replace('\n', "\r\n"))
}

fn in_sqlite(bag: &Jumpbag) -> Vec<String> {
    let database = rusqlite::Connection::open(bag.data_dir().join("catalog.db")).expect("the database");
    let mut query = database.prepare("select pem from client_certificates").expect("a query");
    let rows = query.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("texts")
}

#[tokio::test]
async fn nothing_but_the_certificate_is_kept() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let admin = admin(&bag).await;
    let (certificate, _) = pair();
    let made = add(&admin, body("a", &certificate)).await.expect_status(201).json();
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), pasted(&certificate)).expect("write the certificate");
    let path = file.path().to_str().expect("a path in UTF-8");
    let arguments =
        ["clients", "add", "x", "--permission", "Library.Read", "--id", "b", "--certificate", path];
    let (status, _, stderr) = bag.command(&arguments).await;
    assert!(status.success(), "{stderr}");
    add(&admin, body("c", &pasted(&certificate))).await.expect_status(201);
    assert_eq!(in_sqlite(&bag), [certificate.as_str(); 3]);
    let digest = |app: &Value| text(&app["keyCredentials"][0], "customKeyIdentifier").to_owned();
    for id in ["b", "c"] {
        assert_eq!(digest(&show(&admin, id).await), digest(&made));
    }
}

/// PostgreSQL does not keep U+0000 in a text; that was a 500 once.
#[tokio::test]
async fn postgres_keeps_a_certificate_that_came_with_anything() {
    let database = postgres_database().await;
    let bag = Jumpbag::options().set("rate_limits", false).set("database_url", &database.url).start().await;
    let admin = admin(&bag).await;
    let (certificate, _) = pair();
    add(&admin, body("a", &pasted(&certificate))).await.expect_status(201);
    let (client, connection) =
        tokio_postgres::connect(&database.url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let rows = client.query("select pem from client_certificates", &[]).await.expect("rows");
    let kept: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(kept, [certificate]);
    let refused = add(&admin, body("b", "\0")).await.expect_status(400);
    assert!(refused.error_message().contains("no PEM certificate"), "{}", refused.text());
}

#[tokio::test]
async fn a_private_key_is_refused_and_stored_nowhere() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let admin = admin(&bag).await;
    let (certificate, key) = pair();
    let rsa = key.replace(" PRIVATE", " RSA PRIVATE");
    let said = "the text holds a private key, which stays with the app and was not stored";
    for text in [&key, &format!("{certificate}{key}"), &format!("{rsa}{certificate}")] {
        let answer = add(&admin, body("a", text)).await.expect_status(400);
        assert!(answer.error_message().contains(said), "{}", answer.text());
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("write the text");
        let path = file.path().to_str().expect("a path in UTF-8");
        let arguments = ["clients", "add", "x", "--permission", "Library.Read", "--certificate", path];
        let (status, stdout, stderr) = bag.command(&arguments).await;
        assert!(!status.success() && stderr.contains(said), "{stderr}");
        let line = key.lines().nth(1).expect("a line of the key");
        for place in [&answer.text(), &stdout, &stderr, &bag.logs()] {
            assert!(!place.contains(line), "{place}");
        }
    }
    assert!(in_sqlite(&bag).is_empty());
    admin.get(&format!("{PATH}/a")).await.expect_status(404);
}

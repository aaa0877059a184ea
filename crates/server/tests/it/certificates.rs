//! Clients that prove themselves with a certificate, by hand and with the public libraries that do it for them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use jumpbag_server::auth::client::CertificateKey;
use jumpbag_server::auth::keys::SigningKey;
use jumpbag_wire::time::Timestamp;
use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::clients::{Script, python};
use crate::support::server::Jumpbag;

/// A self-signed certificate and its key, as PEM, and the certificate's SHA-1.
struct Certificate {
    certificate: String,
    key: String,
    sha1: [u8; 20],
}

impl Certificate {
    fn new() -> Certificate {
        let key = SigningKey::generate(Timestamp::from_secs(0)).expect("an RSA key").to_pem();
        let pair = rcgen::KeyPair::from_pem_and_sign_algo(&key, &rcgen::PKCS_RSA_SHA256).expect("a key pair");
        let params = rcgen::CertificateParams::new(vec!["client.example".to_owned()]).expect("a name");
        let certificate = params.self_signed(&pair).expect("a certificate").pem();
        let sha1 = CertificateKey::from_pem(&certificate).expect("a certificate").x5t;
        Certificate { certificate, key, sha1 }
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        let key = EncodingKey::from_rsa_pem(self.key.as_bytes()).expect("a signing key");
        encode(header, claims, &key).expect("a signed assertion")
    }

    fn header(&self) -> Header {
        let mut header = Header::new(Algorithm::RS256);
        header.x5t = Some(URL_SAFE_NO_PAD.encode(self.sha1));
        header
    }
}

/// A client registered with a certificate.
struct App {
    tenant: String,
    id: String,
}

async fn register(bag: &Jumpbag, certificate: &Certificate) -> App {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), &certificate.certificate).expect("write the certificate");
    let path = file.path().to_str().expect("a path in UTF-8");
    let arguments = ["clients", "add", "by certificate", "--permission", "Library.Manage", "--json"];
    let (status, stdout, stderr) = bag.command(&[&arguments[..], &["--certificate", path]].concat()).await;
    assert!(status.success(), "{stderr}");
    let told: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(told["client_secret"], Value::Null, "a certificate needs no secret");
    let text = |name: &str| told[name].as_str().expect("a text").to_owned();
    App { tenant: text("tenant"), id: text("client_id") }
}

impl App {
    fn claims(&self, bag: &Jumpbag) -> Value {
        let now = Timestamp::now().secs();
        json!({
            "aud": format!("{}/{}/oauth2/v2.0/token", bag.url(), self.tenant),
            "iss": self.id, "sub": self.id, "jti": uuid::Uuid::new_v4(), "nbf": now, "exp": now + 300,
        })
    }

    async fn ask(&self, bag: &Jumpbag, path: &str, assertion: &str) -> Answer {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.id),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
            ("scope", "https://api.securitycenter.microsoft.com/.default"),
            ("resource", "https://api.securitycenter.microsoft.com"),
        ];
        let call = bag.anonymous().post(&format!("/{}/{path}", self.tenant));
        call.with(|request| request.form(&form)).await
    }
}

#[tokio::test]
async fn an_assertion_gets_tokens_from_both_endpoints() {
    let bag = Jumpbag::start().await;
    let certificate = Certificate::new();
    let app = register(&bag, &certificate).await;
    for path in ["oauth2/v2.0/token", "oauth2/token"] {
        let assertion = certificate.sign(&certificate.header(), &app.claims(&bag));
        let answer = app.ask(&bag, path, &assertion).await.expect_status(200);
        let token = answer.json()["access_token"].as_str().expect("a token").to_owned();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("claims")).expect("base64url");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        assert_eq!((&claims["appidacr"], &claims["appid"]), (&json!("2"), &json!(app.id)));
        let list = bag.anonymous().with_token(&token).get("/api/libraryfiles");
        list.await.expect_status(200);
    }
}

#[tokio::test]
async fn an_assertion_that_is_not_the_clients_own_gets_none() {
    let bag = Jumpbag::start().await;
    let (certificate, stranger) = (Certificate::new(), Certificate::new());
    let app = register(&bag, &certificate).await;
    let with = |name: &str, value: Value| {
        let mut claims = app.claims(&bag);
        claims[name] = value;
        certificate.sign(&certificate.header(), &claims)
    };
    let now = Timestamp::now().secs();
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let none = format!("{}.{}.", part(json!({"alg": "none"})), part(app.claims(&bag)));
    let hmac = {
        let mut header = Header::new(Algorithm::HS256);
        header.x5t = certificate.header().x5t;
        let key = EncodingKey::from_secret(certificate.certificate.as_bytes());
        encode(&header, &app.claims(&bag), &key).expect("a signed assertion")
    };
    let elsewhere = format!("{}/{}/oauth2/v2.0/token", bag.url(), uuid::Uuid::nil());
    let refused = [
        (700027, stranger.sign(&certificate.header(), &app.claims(&bag))),
        (700027, stranger.sign(&stranger.header(), &app.claims(&bag))),
        (700023, with("aud", json!(elsewhere))),
        (700023, with("aud", json!("api://AzureADTokenExchange"))),
        (700024, with("exp", json!(now - 600))),
        (700024, with("nbf", json!(now + 600))),
        (700024, with("exp", json!(now + 7 * 24 * 3600))),
        (700021, with("iss", json!("somebody else"))),
        (700021, with("sub", json!("somebody else"))),
        (50027, with("exp", Value::Null)),
        (50027, none),
        (50027, hmac),
        (50027, "not a token".to_owned()),
        (50027, "a".repeat(20_000)),
    ];
    // All at once: each counts as a failure, and those that follow failures wait.
    let asking = refused.iter().map(|(_, assertion)| app.ask(&bag, "oauth2/v2.0/token", assertion));
    for (answer, (number, _)) in futures_util::future::join_all(asking).await.iter().zip(&refused) {
        assert_eq!(answer.json()["error_codes"], json!([number]), "{}", answer.text());
        assert_eq!(answer.status, 401, "{}", answer.text());
    }
}

/// What the public libraries need to know, and the files they read it from.
fn with_files(
    script: Script,
    bag: &Jumpbag,
    app: &App,
    certificate: &Certificate,
    folder: &std::path::Path,
) -> Script {
    let (key, both) = (folder.join("key.pem"), folder.join("both.pem"));
    std::fs::write(&key, &certificate.key).expect("write the key");
    std::fs::write(&both, format!("{}{}", certificate.key, certificate.certificate)).expect("write both");
    script
        .env("BASE_URL", bag.url())
        .env("CA_FILE", bag.ca_file())
        .env("REQUESTS_CA_BUNDLE", bag.ca_file())
        .env("CURL_CA_BUNDLE", bag.ca_file())
        .env("TENANT", &app.tenant)
        .env("CLIENT_ID", &app.id)
        .env("CLIENT_KEY_FILE", key)
        .env("CLIENT_CERTIFICATE_FILE", both)
        .env("THUMBPRINT", jumpbag_wire::hex::hex(&certificate.sha1))
}

#[tokio::test]
async fn msal_and_azure_identity_use_the_library_with_a_certificate_over_tls() {
    let bag = Jumpbag::options().tls().start().await;
    let certificate = Certificate::new();
    let app = register(&bag, &certificate).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    for script in [
        python("msal_client.py").arg("authority").arg("certificate"),
        python("msal_client.py").arg("oidc_authority").arg("certificate"),
        python("azure_identity.py").arg("certificate"),
    ] {
        let script = with_files(script, &bag, &app, &certificate, folder.path());
        let answers = script.run().await.json();
        let statuses = ["upload", "list", "delete"].map(|call| answers[call]["status"].as_u64());
        assert_eq!(statuses, [Some(200), Some(200), Some(204)], "{answers}");
        assert_eq!(answers["upload"]["body"]["createdBy"], "by certificate", "{answers}");
    }
}

//! The simulation of the original holds what it says of itself.

mod machines;
mod sign_in;

use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::original::{Fault, Original, StoredFile};

/// A client that has signed in, with no manners of its own: it neither waits nor repeats.
struct Client<'a> {
    original: &'a Original,
    http: reqwest::Client,
    token: String,
}

impl<'a> Client<'a> {
    async fn new(original: &'a Original) -> Client<'a> {
        let http = http(original, false);
        let secret = [("client_secret", original.client_secret())];
        let (_, answer) = token(&http, original, original.tenant(), &secret).await;
        let token = answer["access_token"].as_str().expect("a token").to_owned();
        Client { original, http, token }
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.original.url())).bearer_auth(&self.token)
    }

    async fn get(&self, path: &str) -> Response {
        self.call(Method::GET, path).send().await.expect("an answer")
    }

    async fn upload(&self, name: &str, bytes: Vec<u8>, fields: &[(&str, &str)]) -> Response {
        let file = Part::bytes(bytes).file_name(name.to_owned());
        let form = fields.iter().fold(Form::new().part("file", file), |form, (name, value)| {
            form.text(name.to_string(), value.to_string())
        });
        self.call(Method::POST, "/api/libraryfiles").multipart(form).send().await.expect("an answer")
    }
}

fn http(original: &Original, tls: bool) -> reqwest::Client {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let client = reqwest::Client::builder().no_proxy();
    let client = match tls {
        false => client,
        true => {
            let pem = std::fs::read(original.ca_file()).expect("the file");
            assert_eq!(pem, original.ca_pem().as_bytes());
            client.tls_certs_only([reqwest::Certificate::from_pem(&pem).expect("a certificate")])
        }
    };
    client.build().expect("a client")
}

/// Asks for a token with the app's id, the usual scope and these fields, which come first.
async fn token(
    http: &reqwest::Client,
    original: &Original,
    tenant: &str,
    fields: &[(&str, &str)],
) -> (StatusCode, Value) {
    let mut form = fields.to_vec();
    let usual = [
        ("grant_type", "client_credentials"),
        ("client_id", original.client_id()),
        ("scope", "https://api.securitycenter.microsoft.com/.default"),
    ];
    form.extend(usual.into_iter().filter(|(name, _)| !fields.iter().any(|(given, _)| given == name)));
    let url = format!("{}/{tenant}/oauth2/v2.0/token", original.url());
    let answer = http.post(url).form(&form).send().await.expect("an answer");
    (answer.status(), answer.json().await.expect("JSON"))
}

async fn refusal(answer: Response) -> (u16, String, String) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.expect("JSON");
    let error = &body["error"];
    uuid::Uuid::parse_str(error["target"].as_str().expect("a target")).expect("a GUID");
    (status, error["code"].as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_file_has_eight_properties_and_no_more() {
    let original = Original::start().await;
    let client = Client::new(&original).await;
    let fields =
        [("description", "First"), ("PARAMETERSDESCRIPTION", "-Name"), ("Tags", "a,b"), ("FileName", "x")];
    let answer = client.upload("Triage.ps1", b"one".to_vec(), &fields).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["odata-version"], "4.0");
    assert!(!answer.headers().contains_key("etag"));
    let text = answer.text().await.unwrap();
    let stored: StoredFile = original.file("triage.PS1").expect("stored");
    let time = stored.creation_time;
    let expected = format!(
        r##"{{"@odata.context":"{}/api/$metadata#LibraryFiles/$entity","fileName":"Triage.ps1","sha256":"7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed","description":"First","creationTime":"{time}","lastUpdatedTime":"{time}","createdBy":"library-sync","hasParameters":false,"parametersDescription":"-Name"}}"##,
        original.url()
    );
    assert_eq!(text, expected);
    assert_eq!(&stored.bytes[..], b"one");
}

#[tokio::test]
async fn an_override_keeps_the_birth_and_wipes_what_is_not_sent() {
    let original = Original::start().await;
    let client = Client::new(&original).await;
    let before = original.put_described("a.ps1", "old", Some("About"), Some("-X"));
    let again = refusal(client.upload("A.ps1", b"new".to_vec(), &[]).await).await;
    assert_eq!((again.0, again.1.as_str()), (400, "BadRequest"));
    assert!(again.2.contains("already exists"), "{}", again.2);
    let answer = client
        .call(Method::POST, "/API/v1.0/LibraryFiles")
        .header("if-none-match", "*")
        .multipart(
            Form::new()
                .text("overrideifexists", "True")
                .text("Description", "")
                .part("FILE", Part::bytes(b"new".to_vec()).file_name("A.ps1")),
        )
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let after = original.file("a.ps1").expect("stored");
    assert_eq!((&after.creation_time, &after.created_by), (&before.creation_time, &before.created_by));
    assert!(after.last_updated_time > before.last_updated_time);
    assert_eq!(
        (&after.description, &after.parameters_description, after.has_parameters),
        (&None, &None, false)
    );
    assert_eq!(original.files().len(), 1);
}

#[tokio::test]
async fn a_list_is_whole_whatever_it_is_asked_and_deletion_has_no_conditions() {
    let original = Original::start().await;
    let client = Client::new(&original).await;
    for name in ["b.ps1", "a.ps1", "c d.ps1"] {
        original.put(name, name);
    }
    let list: Value = client.get("/api/libraryfiles?$filter=nonsense&$top=1").await.json().await.unwrap();
    let names: Vec<&str> =
        list["value"].as_array().unwrap().iter().map(|file| file["fileName"].as_str().unwrap()).collect();
    assert_eq!(names, ["b.ps1", "a.ps1", "c d.ps1"]);
    assert_eq!(list["value"][0].as_object().unwrap().len(), 8);
    assert_eq!(list["value"][0]["description"], Value::Null);
    let gone = client.call(Method::DELETE, "/api/libraryfiles/C%20D.ps1").header("if-match", "\"no\"");
    assert_eq!(gone.send().await.unwrap().status(), 204);
    let gone = client.call(Method::DELETE, "/api/libraryfiles/c%20d.ps1").send().await.unwrap();
    assert_eq!(refusal(gone).await.1, "ResourceNotFound");
    original.remove("a.ps1");
    assert_eq!(original.files().len(), 1);
}

#[tokio::test]
async fn what_jumpbag_adds_is_not_there() {
    let original = Original::start().await;
    let client = Client::new(&original).await;
    original.put("a.ps1", "a");
    for (method, path, status) in [
        (Method::GET, "/api/libraryfiles/a.ps1", 405),
        (Method::PATCH, "/api/libraryfiles/a.ps1", 405),
        (Method::PUT, "/api/libraryfiles", 405),
        (Method::DELETE, "/api/libraryfiles('a.ps1')", 404),
        (Method::GET, "/api/libraryfiles/a.ps1/content", 404),
        (Method::GET, "/api/libraryfiles/a.ps1/versions", 404),
        (Method::GET, "/api/audit", 404),
        (Method::GET, "/openapi.json", 404),
    ] {
        let answer = client.call(method, path).send().await.unwrap();
        assert_eq!(refusal(answer).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_upload_are_refused() {
    let original = Original::start().await;
    let client = Client::new(&original).await;
    let largest = 20 * 1024 * 1024;
    assert_eq!(client.upload("largest.bin", vec![0; largest], &[]).await.status(), 200);
    let too_large = refusal(client.upload("larger.bin", vec![0; largest + 1], &[]).await).await;
    assert_eq!(too_large, (400, "InvalidRequestBody".into(), "Request body is incorrect".into()));
    assert_eq!(client.upload("huge.bin", vec![0; 30_000_001], &[]).await.status(), 413);
    let bad = refusal(client.upload("a.ps1", vec![], &[("OverrideIfExists", "yes")]).await).await;
    assert_eq!(bad.1, "InvalidRequestBody");
    assert_eq!(refusal(client.upload("a/b.ps1", vec![], &[]).await).await.1, "InvalidInput");
    let json = client.call(Method::POST, "/api/libraryfiles").json(&json!({"a": 1})).send().await.unwrap();
    assert_eq!(refusal(json).await.1, "InvalidRequestBody");
    let none = client.call(Method::POST, "/api/libraryfiles").multipart(Form::new().text("Description", "x"));
    assert_eq!(refusal(none.send().await.unwrap()).await.1, "InvalidRequestBody");
    assert_eq!(original.files().len(), 1);
}

#[tokio::test]
async fn who_may_not_is_told_why() {
    let original = Original::options().roles(&["Machine.Read.All", "Alert.Read.All"]).start().await;
    let client = Client::new(&original).await;
    let refused = refusal(client.get("/api/libraryfiles").await).await;
    let text = "Missing application roles. API required roles: Library.Manage, application roles: Machine.Read.All,Alert.Read.All.";
    assert_eq!(refused, (403, "Forbidden".into(), text.into()));
    let answer = client.http.get(format!("{}/api/libraryfiles", original.url())).send().await.unwrap();
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    assert_eq!(refusal(answer).await.1, "Unauthorized");
}

#[tokio::test]
async fn tokens_end() {
    let original = Original::start().await;
    let client = Client::new(&original).await;
    assert_eq!(client.get("/api/libraryfiles").await.status(), 200);
    original.forget_tokens();
    assert_eq!(refusal(client.get("/api/libraryfiles").await).await.0, 401);
    assert_eq!(Client::new(&original).await.get("/api/libraryfiles").await.status(), 200);
    let original = Original::options().token_seconds(0).start().await;
    assert_eq!(Client::new(&original).await.get("/api/libraryfiles").await.status(), 401);
}

#[tokio::test]
async fn too_many_calls_are_told_to_wait_and_nothing_more() {
    let original = Original::options().per_minute(2).start().await;
    let client = Client::new(&original).await;
    for _ in 0..2 {
        let answer = client.get("/api/libraryfiles").await;
        assert!(!answer.headers().keys().any(|name| name.as_str().starts_with("ratelimit")));
        assert_eq!(answer.status(), 200);
    }
    let answer = client.get("/api/libraryfiles").await;
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((55..=60).contains(&wait), "{wait}");
    assert_eq!(refusal(answer).await.1, "TooManyRequests");
    let original = Original::options().per_hour(1).start().await;
    let client = Client::new(&original).await;
    assert_eq!(client.get("/api/libraryfiles").await.status(), 200);
    let wait = client.get("/api/libraryfiles").await.headers()["retry-after"].to_str().unwrap().to_owned();
    assert!((3500..=3600).contains(&wait.parse::<u64>().unwrap()), "{wait}");
    let original = Original::options().per_minute(1).minute(std::time::Duration::ZERO).start().await;
    let client = Client::new(&original).await;
    for _ in 0..2 {
        assert_eq!(client.get("/api/libraryfiles").await.status(), 200);
    }
}

#[tokio::test]
async fn faults_meet_the_calls_they_wait_for() {
    let original = Original::start().await;
    let client = Client::new(&original).await;
    original.forget_calls();
    original.fail("POST /api/libraryfiles", Fault::Status(503)).times(2);
    original.fail("POST /api/libraryfiles", Fault::TooMany(7));
    for status in [503, 503, 429, 200] {
        assert_eq!(client.upload("a.ps1", vec![], &[]).await.status(), status);
        assert_eq!(client.get("/api/libraryfiles").await.status(), 200);
    }
    assert_eq!((original.count("POST /api/libraryfiles"), original.count("GET ")), (4, 4));
    assert_eq!(original.calls()[..2], ["POST /api/libraryfiles", "GET /api/libraryfiles"]);

    let delete = || client.call(Method::DELETE, "/api/libraryfiles/a.ps1").send();
    original.fail("DELETE ", Fault::DropBefore);
    delete().await.expect_err("no answer");
    assert!(original.file("a.ps1").is_some());
    original.fail("DELETE ", Fault::DropAfter);
    delete().await.expect_err("no answer");
    assert!(original.file("a.ps1").is_none());

    original.put("b.ps1", "b");
    original.fail("", Fault::CutShort).after(1);
    assert_eq!(client.get("/api/libraryfiles").await.status(), 200);
    let half = client.get("/api/libraryfiles").await;
    assert_eq!(half.status(), 200);
    half.bytes().await.expect_err("half of it");

    original.fail("GET", Fault::Hang);
    let patience = std::time::Duration::from_millis(200);
    let never = client.call(Method::GET, "/api/libraryfiles").timeout(patience).send().await;
    assert!(never.expect_err("no answer").is_timeout());
    original.fail("GET", Fault::Status(500)).times(9);
    original.mend();
    assert_eq!(client.get("/api/libraryfiles").await.status(), 200);
}

#[tokio::test]
async fn it_answers_while_the_test_blocks_and_ends_when_it_is_dropped() {
    let original = Original::start().await;
    let url = format!("{}/api/libraryfiles", original.url());
    let address = original.url().trim_start_matches("http://");
    let mut kept = std::net::TcpStream::connect(address).expect("a connection");
    std::io::Write::write_all(&mut kept, b"GET /api/libraryfiles HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    std::io::Read::read_exact(&mut kept, &mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 401");
    let http = http(&original, false);
    drop(original);
    std::io::Read::read_to_end(&mut kept, &mut Vec::new()).expect("its end");
    http.get(url).send().await.expect_err("nobody is there");
}

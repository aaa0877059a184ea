//! A small HTTP client for tests: a call is a sentence, an answer is a value that can be asked.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderMap, Method};
use reqwest::multipart::{Form, Part};
use serde_json::Value;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A client without proxies, redirects or a token.
pub fn plain_http() -> reqwest::Client {
    super::install_crypto();
    builder().build().expect("an HTTP client")
}

/// Like [`plain_http`], and trusting only the certificate in this PEM text.
pub fn http_trusting(pem: &[u8]) -> reqwest::Client {
    super::install_crypto();
    let certificate = reqwest::Certificate::from_pem(pem).expect("a PEM certificate");
    builder().tls_certs_only([certificate]).build().expect("an HTTP client")
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(std::time::Duration::from_secs(60))
}

/// Somebody who calls one server, with or without a token.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    bearer: Option<String>,
}

impl Client {
    pub fn new(http: reqwest::Client, base: &str, bearer: Option<String>) -> Client {
        Client { http, base: base.into(), bearer }
    }

    /// The same caller with another token.
    pub fn with_token(&self, token: &str) -> Client {
        Client { bearer: Some(token.into()), ..self.clone() }
    }

    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    /// Any method; `path` begins with `/` and is sent as it is.
    pub fn call(&self, method: Method, path: &str) -> Call {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let request = match &self.bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        Call { request, base: self.base.clone() }
    }

    /// A call with this JSON as its body.
    pub fn json(&self, method: Method, path: &str, body: &Value) -> Call {
        let body = body.to_string();
        self.call(method, path).with(|request| request.header("content-type", "application/json").body(body))
    }

    /// An upload of these bytes under this name.
    pub fn upload(&self, name: &str, content: impl Into<Bytes>) -> Upload<'static> {
        Upload::new(std::future::ready(self.clone()), name, content.into())
    }
}

/// A request that is sent when awaited. Awaiting panics when no answer comes.
pub struct Call {
    request: reqwest::RequestBuilder,
    base: String,
}

impl Call {
    /// Changes the request: `call.with(|request| request.header("accept", "x"))`.
    pub fn with(self, change: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder) -> Call {
        Call { request: change(self.request), ..self }
    }

    /// Sends it; the head of the answer, whose body may go on.
    pub async fn response(self) -> reqwest::Result<reqwest::Response> {
        self.request.send().await
    }

    /// Sends it; an error when no whole answer comes.
    pub async fn attempt(self) -> reqwest::Result<Answer> {
        Answer::of(self.request, &self.base).await
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Boxed<'static, Answer>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.attempt().await.unwrap_or_else(|error| panic!("no answer: {error:?}")) })
    }
}

/// An upload that is sent when awaited.
pub struct Upload<'a> {
    client: Boxed<'a, Client>,
    name: String,
    content: Bytes,
    fields: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

impl<'a> Upload<'a> {
    pub fn new(client: impl Future<Output = Client> + Send + 'a, name: &str, content: Bytes) -> Upload<'a> {
        Upload {
            client: Box::pin(client),
            name: name.into(),
            content,
            fields: Vec::new(),
            headers: Vec::new(),
        }
    }

    pub fn description(self, text: &str) -> Upload<'a> {
        self.field("Description", text)
    }

    pub fn parameters_description(self, text: &str) -> Upload<'a> {
        self.field("ParametersDescription", text)
    }

    pub fn override_if_exists(self) -> Upload<'a> {
        self.field("OverrideIfExists", "true")
    }

    /// Any header beside those of the form.
    pub fn header(mut self, name: &str, value: &str) -> Upload<'a> {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Any form field, sent before the file.
    pub fn field(mut self, name: &str, value: &str) -> Upload<'a> {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Sends it; an error when no whole answer comes.
    pub async fn attempt(self) -> reqwest::Result<Answer> {
        let length = self.content.len() as u64;
        let part = Part::stream_with_length(self.content, length).file_name(self.name);
        let form = self.fields.into_iter().fold(Form::new(), |form, (name, value)| form.text(name, value));
        let call = self.client.await.post("/api/libraryfiles");
        let headers = self.headers;
        let call = call.with(|request| request.multipart(form.part("file", part)));
        let call = call.with(|request| {
            headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))
        });
        call.attempt().await
    }
}

impl<'a> IntoFuture for Upload<'a> {
    type Output = Answer;
    type IntoFuture = Boxed<'a, Answer>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.attempt().await.unwrap_or_else(|error| panic!("no answer: {error:?}")) })
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The address that was called: what a snapshot hides.
    pub base: String,
}

impl Answer {
    /// Sends a request and reads its answer to the end.
    pub async fn of(request: reqwest::RequestBuilder, base: &str) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await?, base: base.into() })
    }

    /// Panics, with the answer, unless it has this status.
    pub fn expect_status(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON. Panics when it is something else.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}), status {}: {}", self.status, self.text()))
    }

    /// A header's value, the first of several.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The entity tag. Panics when there is none.
    pub fn etag(&self) -> String {
        self.header("etag").unwrap_or_else(|| panic!("no `ETag`: {:?}", self.headers)).to_owned()
    }

    /// The entities of a collection. Panics when the body is none.
    pub fn value(&self) -> Vec<Value> {
        match self.json()["value"].as_array() {
            Some(entities) => entities.clone(),
            None => panic!("no collection, status {}: {}", self.status, self.text()),
        }
    }

    /// The path and query of the next page, which is at the address that was called.
    pub fn next(&self) -> Option<String> {
        let link = self.json()["@odata.nextLink"].as_str()?.to_owned();
        let path = link.strip_prefix(&self.base).unwrap_or_else(|| panic!("`{link}` is not absolute"));
        Some(path.to_owned())
    }

    /// The id by which the log knows the request.
    pub fn request_id(&self) -> String {
        self.header("request-id").expect("a request id").to_owned()
    }

    /// The `code` of the error envelope. Panics when the body is no such envelope.
    pub fn error_code(&self) -> String {
        self.error_field("code")
    }

    /// The `message` of the error envelope. Panics when the body is no such envelope.
    pub fn error_message(&self) -> String {
        self.error_field("message")
    }

    fn error_field(&self, name: &str) -> String {
        match self.json()["error"][name].as_str() {
            Some(text) => text.to_string(),
            None => panic!("no error envelope, status {}: {}", self.status, self.text()),
        }
    }

    /// Status, the headers that matter and the body, without what differs from run to run; for inline snapshots.
    pub fn snapshot(&self) -> String {
        super::snapshot::of(self, super::snapshot::HEADERS)
    }
}

//! What commands brought: links that anybody may follow, results to be saved, and output as it comes.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderValue, header};
use jumpbag_wire::action::LiveEvent;
use jumpbag_wire::agent::Stream;
use jumpbag_wire::error::ErrorEnvelope;
use jumpbag_wire::time::Timestamp;
use serde_json::json;

use super::allowed::{Allowed, Needs as _, ResultRead};
use super::answer;
use super::edge::Context;
use super::name::{Three, Two};
use super::sse::{self, Listener, Source, Told};
use crate::actions::live::Live;
use crate::actions::result::CommandResult;
use crate::app::App;
use crate::error::Error;

/// How long a link to a result is good.
const LINK_SECS: i64 = 30 * 60;
/// Where links to results lead: anybody may follow one that is signed.
pub const RESULTS: &str = "/liveresponseresults/{id}/{index}";

/// A link to what a command brought: good for 30 minutes, without a token.
#[utoipa::path(
    get, path = "/api/machineactions/{id}/{function}", tag = "machines", operation_id = "getLiveResponseResultDownloadLink",
    params(
        ("id" = String, Path, description = "The action's id"),
        ("function" = String, Path, description = "`GetLiveResponseResultDownloadLink(index=N)`, with the command's index, from 0"),
    ),
    responses(
        (status = 200, description = "The address, in `value`"),
        (status = 404, description = "No such action or command, or it has not ended", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Machine.Read.All"]), ("oauth2" = ["Machine.ReadWrite.All"]), ("oauth2" = ["Machine.LiveResponse"]))
)]
pub async fn link(
    _: Allowed<ResultRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
    Two(id, function): Two,
) -> Result<Response, Error> {
    let index = function
        .strip_prefix("getliveresponseresultdownloadlink(index=")
        .and_then(|rest| rest.strip_suffix(')'))
        .ok_or_else(|| Error::NoRoute { path: format!("/api/machineactions/{id}/{function}") })?;
    let index = number(index)?;
    let result = app.actions.result(&id, index).await?;
    let expires = Timestamp::now().plus_secs(LINK_SECS).secs();
    let action = result.action().to_owned();
    let signature = URL_SAFE_NO_PAD.encode(app.agent_key.sign(&link_text(&action, index, expires)));
    let value = format!("{}/liveresponseresults/{action}/{index}?se={expires}&sig={signature}", context.base);
    let body =
        json!({ "@odata.context": format!("{}/api/$metadata#Edm.String", context.base), "value": value });
    Ok(answer::odata(Body::from(body.to_string())))
}

/// What is signed of a link.
fn link_text(action: &str, index: u32, expires: i64) -> String {
    format!("jumpbag result v1\n{action}\n{index}\n{expires}\n")
}

/// The bytes that a link leads to.
pub async fn download(
    State(app): State<Arc<App>>,
    Two(id, index): Two,
    RawQuery(raw): RawQuery,
) -> Result<Response, Error> {
    let query = url::form_urlencoded::parse(raw.as_deref().unwrap_or_default().as_bytes());
    let (mut expires, mut signature) = (None, None);
    for (name, value) in query {
        match name.as_ref() {
            "se" => expires = value.parse::<i64>().ok(),
            "sig" => signature = URL_SAFE_NO_PAD.decode(value.as_bytes()).ok(),
            _ => {}
        }
    }
    let index = number(&index)?;
    let good = expires.zip(signature).is_some_and(|(expires, signature)| {
        expires > Timestamp::now().secs() && app.agent_key.verify(&link_text(&id, index, expires), &signature)
    });
    if !good {
        return Err(Error::Forbidden(
            "the link is not one that this server made, or it has expired: ask for another".into(),
        ));
    }
    told(&app, app.actions.result(&id, index).await?)
}

/// What a command brought, to be saved.
fn told(app: &App, result: CommandResult) -> Result<Response, Error> {
    let kind = if result.is_file() { "application/octet-stream" } else { "application/json; charset=utf-8" };
    let name = super::download::attachment(&result.name());
    let body = Body::from_stream(result.bytes(&app.actions));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    if let Some(digest) = result.digest() {
        let digest = format!("sha-256=:{}:", STANDARD.encode(digest));
        if let Ok(digest) = HeaderValue::from_str(&digest) {
            headers.insert("repr-digest", digest);
        }
    }
    Ok(response)
}

/// What a command has put out so far, from an offset on.
#[utoipa::path(
    get, path = "/api/machineactions/{id}/commands/{index}/{stream}", tag = "machines", operation_id = "getCommandOutput",
    params(
        ("id" = String, Path, description = "The action's id"),
        ("index" = u32, Path, description = "The command's index, from 0"),
        ("stream" = String, Path, description = "`stdout`, `stderr` or `file`; `result` for what a link to the result leads to"),
        ("offset" = Option<u64>, Query, description = "Bytes that are known already"),
    ),
    responses(
        (status = 200, description = "The bytes from there to where the output is now; `jumpbag-output-open: true` while more may come",
            body = String, content_type = "application/octet-stream"),
        (status = 404, description = "No such action, command or stream", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Machine.Read.All"]), ("oauth2" = ["Machine.ReadWrite.All"]), ("oauth2" = ["Machine.LiveResponse"]))
)]
pub async fn output(
    _: Allowed<ResultRead>,
    State(app): State<Arc<App>>,
    Three(id, index, stream): Three,
    RawQuery(raw): RawQuery,
) -> Result<Response, Error> {
    let stream = match stream.as_str() {
        "result" => return told(&app, app.actions.result(&id, number(&index)?).await?),
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        "file" => Stream::File,
        _ => {
            return Err(Error::NotFound(
                "a command has the streams stdout, stderr and file, and a result".into(),
            ));
        }
    };
    let mut offset = 0;
    for (name, value) in url::form_urlencoded::parse(raw.as_deref().unwrap_or_default().as_bytes()) {
        if name == "offset" {
            offset = value
                .parse()
                .ok()
                .filter(|offset| *offset <= i64::MAX as u64)
                .ok_or_else(|| Error::InvalidInput("`offset` must be a whole number of bytes".into()))?;
        }
    }
    let output = app.actions.output(&id, number(&index)?, stream).await?;
    let open = if output.open { "true" } else { "false" };
    let left = output.size.saturating_sub(offset);
    let body = Body::from_stream(app.actions.stream(output, offset));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_LENGTH, HeaderValue::from(left)),
        (header::HeaderName::from_static("jumpbag-output-open"), HeaderValue::from_static(open)),
    ];
    Ok((headers, body).into_response())
}

/// What a command puts out, as it comes, to its end.
#[utoipa::path(
    get, path = "/api/machineactions/{id}/commands/{index}/output", tag = "machines", operation_id = "streamCommandOutput",
    params(
        ("id" = String, Path, description = "The action's id"),
        ("index" = u32, Path, description = "The command's index, from 0"),
        ("Last-Event-ID" = Option<String>, Header, description = "The last `id` that was seen"),
        ("lastEventId" = Option<String>, Query, description = "The same, for clients that cannot set headers"),
        ("after" = Option<String>, Query, description = "The same"),
    ),
    responses(
        (
            status = 200, content_type = "text/event-stream", body = String,
            description = "`stdout` and `stderr`, whose data has `offset` and `text`, or `base64` where the bytes are not UTF-8; \
                           at the end `end`, whose data has `status`, `commandStatus`, `exitCode` and `errors`"
        ),
        (status = 400, description = "The id is not one that an event had", body = ErrorEnvelope),
        (status = 404, description = "No such action or command", body = ErrorEnvelope),
        (status = 503, description = "As many streams are open as may be", body = ErrorEnvelope),
    ),
    security(("oauth2" = ["Machine.Read.All"]), ("oauth2" = ["Machine.ReadWrite.All"]), ("oauth2" = ["Machine.LiveResponse"]))
)]
pub async fn live(
    _: Allowed<ResultRead>,
    State(app): State<Arc<App>>,
    Two(id, index): Two,
    listener: Listener,
) -> Result<Response, Error> {
    let live = app.actions.live(&id, number(&index)?, listener.seen.as_ref()).await?;
    sse::answer(app, listener, ResultRead::ANY_OF, live)
}

impl Source for Live {
    fn begins(&self) -> String {
        self.position()
    }

    async fn read(&mut self) -> Result<Told, Error> {
        let Some(news) = self.next().await? else { return Ok(Told::Nothing) };
        let told = sse::event(&self.position(), news.name(), &news)?;
        Ok(if matches!(news, LiveEvent::End(_)) { Told::Last(told) } else { Told::Some(told) })
    }

    async fn more(&mut self) {
        self.changed().await;
    }
}

fn number(text: &str) -> Result<u32, Error> {
    text.parse().map_err(|_| Error::NotFound("a command's index is a number, from 0".into()))
}

//! How the API answers: entities and collections, refusals in their envelope, and who is let in.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jumpbag_wire::odata::CONTENT_TYPE;
use serde_json::json;

use super::token::Grant;
use super::{Call, Service};

/// A refusal of the API: a status, and the envelope that every one of them has.
#[derive(Debug)]
pub struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    header: Option<(HeaderName, String)>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into(), header: None }
    }

    pub(super) fn body() -> Refusal {
        Refusal::new(400, "InvalidRequestBody", "Request body is incorrect")
    }

    pub(super) fn missing(parameter: &str) -> Refusal {
        Refusal::new(400, "MissingRequiredParameter", format!("Parameter {parameter} is missing"))
    }

    pub(super) fn not_found() -> Refusal {
        Refusal::new(404, "NotFound", "The requested resource was not found")
    }

    pub(super) fn no_such(what: &str, name: &str) -> Refusal {
        Refusal::new(404, "ResourceNotFound", format!("{what} {name} was not found"))
    }

    pub(super) fn method(allowed: &'static str) -> Refusal {
        let refusal = Refusal::new(405, "BadRequest", "The requested resource does not support this method");
        Refusal { header: Some((header::ALLOW, allowed.to_owned())), ..refusal }
    }

    fn unauthorized(reason: &str) -> Refusal {
        let message = format!("Unauthorized request - reason of failure: {reason}");
        let refusal = Refusal::new(401, "Unauthorized", message);
        Refusal { header: Some((header::WWW_AUTHENTICATE, "Bearer".to_owned())), ..refusal }
    }

    pub(super) fn too_many(seconds: u32) -> Refusal {
        let refusal = Refusal::new(429, "TooManyRequests", "Too many requests");
        Refusal { header: Some((header::RETRY_AFTER, seconds.to_string())), ..refusal }
    }

    /// What a fault of this status answers.
    pub(super) fn of_status(status: u16) -> Refusal {
        match status {
            401 => Refusal::unauthorized("The token is not valid"),
            403 => Refusal::new(403, "Forbidden", "The request is not allowed"),
            404 => Refusal::not_found(),
            429 => Refusal::too_many(1),
            400..500 => Refusal::new(status, "BadRequest", "Bad request"),
            _ => Refusal::new(status, "InternalServerError", "Internal server error"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let target = uuid::Uuid::new_v4();
        let error = json!({"code": self.code, "message": self.message, "target": target});
        let mut answer = Response::new(Body::from(json!({ "error": error }).to_string()));
        *answer.status_mut() = StatusCode::from_u16(self.status).expect("a status");
        let json = header::HeaderValue::from_static("application/json; charset=utf-8");
        answer.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some((name, value)) = self.header {
            answer.headers_mut().insert(name, value.parse().expect("a header's value"));
        }
        answer
    }
}

/// One entity, `json` being its text: the order of its properties is the original's.
pub(super) fn entity(call: &Call, status: StatusCode, set: &str, json: &str) -> Response {
    let rest = json.strip_prefix('{').expect("an object");
    let context = format!("{}/api/$metadata#{set}", call.base);
    odata(status, format!(r#"{{"@odata.context":"{context}",{rest}"#))
}

/// Entities; `extra` are the annotations between the context and the value, with a comma each, and
/// those after it, with a comma before each.
pub(super) fn collection(call: &Call, set: &str, items: &[String], extra: (String, String)) -> Response {
    let context = format!("{}/api/$metadata#{set}", call.base);
    let (before, after) = extra;
    let value = items.join(",");
    odata(StatusCode::OK, format!(r#"{{"@odata.context":"{context}",{before}"value":[{value}]{after}}}"#))
}

fn odata(status: StatusCode, json: String) -> Response {
    (status, [("content-type", CONTENT_TYPE), ("odata-version", "4.0")], json).into_response()
}

/// When each app made its calls.
#[derive(Default)]
pub struct Quota(HashMap<String, VecDeque<Instant>>);

impl Service {
    /// Lets the caller in who has one of these application permissions, or one of these delegated
    /// ones, and has not made too many calls: 401, 403, 429 in this order.
    pub(super) fn let_in(&self, call: &Call, roles: &[&str], scopes: &[&str]) -> Result<Grant, Refusal> {
        let bearer = call.header(header::AUTHORIZATION).and_then(|value| value.split_once(' '));
        let token = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let (_, token) = token.ok_or_else(|| Refusal::unauthorized("The authorization header is missing"))?;
        let grant = self.grant_of(token);
        let grant = grant.ok_or_else(|| Refusal::unauthorized("The token is not valid or has expired"))?;
        let (kind, required) =
            if grant.delegated { ("user scopes", scopes) } else { ("application roles", roles) };
        if !required.iter().any(|role| grant.permissions.iter().any(|has| has == role)) {
            let (required, has) = (required.join(","), grant.permissions.join(","));
            let message = format!("Missing {kind}. API required roles: {required}, {kind}: {has}.");
            return Err(Refusal::new(403, "Forbidden", message));
        }
        self.count_call("")?;
        Ok(grant)
    }

    /// Counts a call of the app. `kind` is empty for all of them, or a kind with a quota of its own.
    pub(super) fn count_call(&self, kind: &str) -> Result<(), Refusal> {
        let options = &self.options;
        let (minute, hour) = (options.minute, options.minute * 60);
        let per_minute = if kind.is_empty() { options.per_minute } else { 10 };
        let mut state = self.state();
        let made = state.quota.0.entry(kind.to_owned()).or_default();
        made.retain(|at| at.elapsed() < hour);
        for (calls, window) in [(per_minute, minute), (options.per_hour, hour)] {
            // The oldest of the last `calls` must have left the window.
            let oldest = calls.checked_sub(1).and_then(|last| made.iter().rev().nth(last));
            if let Some(left) = oldest.and_then(|at| window.checked_sub(at.elapsed())) {
                return Err(Refusal::too_many((left.as_secs_f64().ceil() as u32).max(1)));
            }
        }
        made.push_back(Instant::now());
        Ok(())
    }
}

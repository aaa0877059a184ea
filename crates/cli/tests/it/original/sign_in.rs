//! The sign-in of one tenant with one app: by secret, by certificate, by device code. It refuses in
//! the words of OAuth 2.0 with a code of its own, `AADSTS` and a number.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jumpbag_wire::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CLIENT, Call, DOMAIN, Original, SECRET, Service, TENANT, assertion};

/// Resources whose tokens the API accepts.
const RESOURCES: [&str; 8] = [
    "https://api.securitycenter.microsoft.com",
    "https://api.securitycenter.windows.com",
    "https://securitycenter.onmicrosoft.com/windowsatpservice",
    "https://api-eu.securitycenter.microsoft.com",
    "https://api.security.microsoft.com",
    "https://api-gcc.securitycenter.microsoft.us",
    "https://api-gov.securitycenter.microsoft.us",
    "fc780465-2017-40d4-a0c5-307022471b92",
];
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

#[derive(Default)]
pub struct SignIn {
    certificate: Option<String>,
    devices: Vec<Device>,
    verdict: Verdict,
    slow_down: bool,
}

struct Device {
    code: String,
    scope: String,
    polled: Option<Instant>,
}

/// What the person has done about the codes shown.
#[derive(Default, Clone, Copy)]
enum Verdict {
    #[default]
    Pending,
    Approved,
    Declined,
    Expired,
}

impl Original {
    /// The app may prove itself with the key of this certificate (PEM) too.
    pub fn trust_certificate(&self, pem: &str) {
        self.state().sign_in.certificate = Some(pem.to_owned());
    }

    /// The person enters the code and agrees; also for codes that are still to come.
    pub fn approve_device(&self) {
        self.state().sign_in.verdict = Verdict::Approved;
    }

    pub fn decline_device(&self) {
        self.state().sign_in.verdict = Verdict::Declined;
    }

    /// Nobody entered the code in time.
    pub fn expire_device(&self) {
        self.state().sign_in.verdict = Verdict::Expired;
    }

    /// The next poll is told to slow down.
    pub fn slow_down_device(&self) {
        self.state().sign_in.slow_down = true;
    }
}

/// A refusal: the status, OAuth 2.0's word, the number, the sentence.
pub(super) type Refused = (u16, &'static str, u32, String);

pub(super) fn refused(status: u16, error: &'static str, number: u32, text: impl Into<String>) -> Refused {
    (status, error, number, text.into())
}

/// None for what is not of the sign-in.
pub(super) fn answer(service: &Service, call: &Call) -> Option<Response> {
    let lower: Vec<String> = call.segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let parts: Vec<&str> = lower.iter().map(String::as_str).collect();
    let (method, done) = match parts[..] {
        [tenant, "v2.0", ".well-known", "openid-configuration"] => {
            (Method::GET, check_tenant(tenant).map(|()| discovery(call)))
        }
        [tenant, "discovery", "v2.0", "keys"] => {
            (Method::GET, check_tenant(tenant).map(|()| json!({"keys": [service.issuer.public()]})))
        }
        [tenant, "oauth2", "v2.0", "token"] => (Method::POST, token(service, call, tenant)),
        [tenant, "oauth2", "v2.0", "devicecode"] => (Method::POST, device_code(service, call, tenant)),
        _ => return None,
    };
    if call.method != method {
        return Some(super::empty(StatusCode::METHOD_NOT_ALLOWED));
    }
    let (status, body) = match done {
        Ok(body) => (StatusCode::OK, body),
        Err((status, error, number, text)) => {
            (StatusCode::from_u16(status).expect("a status"), refusal(error, number, &text))
        }
    };
    let kind = [("content-type", "application/json; charset=utf-8"), ("cache-control", "no-store, no-cache")];
    Some((status, kind, body.to_string()).into_response())
}

fn refusal(error: &str, number: u32, text: &str) -> Value {
    let [trace, correlation] = [Uuid::new_v4(), Uuid::new_v4()];
    let now = Timestamp::from_secs(Timestamp::now().secs()).to_string().replace('T', " ");
    let description =
        format!("AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}");
    json!({
        "error": error, "error_description": description, "error_codes": [number], "timestamp": now,
        "trace_id": trace, "correlation_id": correlation,
        "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
    })
}

fn check_tenant(tenant: &str) -> Result<(), Refused> {
    if [TENANT, DOMAIN].contains(&tenant) {
        return Ok(());
    }
    let text = format!(
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into \
         the correct cloud. Check with your subscription administrator, this may happen if there are no \
         active subscriptions for the tenant."
    );
    Err(refused(400, "invalid_request", 90002, text))
}

fn discovery(call: &Call) -> Value {
    let (base, tenant) = (&call.base, &call.segments[0]);
    json!({
        "token_endpoint": format!("{base}/{tenant}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": format!("{base}/{tenant}/discovery/v2.0/keys"),
        "issuer": format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        "authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/devicecode"),
    })
}

/// The fields of a form, of the tenant and the app.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(call: &Call, tenant: &str) -> Result<Form, Refused> {
        check_tenant(tenant)?;
        let kind = call.header(header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
        // Anything but a form has none of the fields.
        let body: &[u8] =
            if kind.starts_with("application/x-www-form-urlencoded") { &call.body } else { &[] };
        Ok(Form(url::form_urlencoded::parse(body).into_owned().collect()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(field, value)| field == name && !value.is_empty())?;
        Some(value)
    }

    fn need(&self, name: &str) -> Result<&str, Refused> {
        self.get(name).ok_or_else(|| {
            let text = format!("The request body must contain the following parameter: '{name}'.");
            refused(400, "invalid_request", 900_144, text)
        })
    }

    fn check_app(&self) -> Result<(), Refused> {
        let id = self.need("client_id")?;
        if id.eq_ignore_ascii_case(CLIENT) {
            return Ok(());
        }
        let text = format!(
            "Application with identifier '{id}' was not found in the directory 'Contoso'. This can happen if the \
             application has not been installed by the administrator of the tenant or consented to by any user \
             in the tenant. You may have sent your authentication request to the wrong tenant."
        );
        Err(refused(400, "unauthorized_client", 700_016, text))
    }

    /// The resource that the scope is of: what the token is for.
    fn audience(&self, delegated: bool) -> Result<&str, Refused> {
        let scope = self.need("scope")?;
        let of_openid = |one: &&str| !["openid", "profile", "email", "offline_access"].contains(one);
        let mut resources = scope.split(' ').filter(of_openid).map(|one| one.rsplit_once('/'));
        let Some(Some((resource, permission))) = resources.next() else {
            let text = format!(
                "The provided value for the input parameter 'scope' isn't valid. The scope {scope} isn't valid."
            );
            return Err(refused(400, "invalid_scope", 70011, text));
        };
        if !delegated && (permission != ".default" || resources.next().is_some()) {
            let text = format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope \
                 value with /.default suffixed to the resource identifier (application ID URI)."
            );
            return Err(refused(400, "invalid_scope", 1_002_012, text));
        }
        let known = RESOURCES.into_iter().find(|known| *known == resource.trim_end_matches('/'));
        known.ok_or_else(|| {
            let text =
                format!("The resource principal named {resource} was not found in the tenant named Contoso.");
            refused(400, "invalid_resource", 500_011, text)
        })
    }
}

fn token(service: &Service, call: &Call, tenant: &str) -> Result<Value, Refused> {
    let form = Form::read(call, tenant)?;
    let grant = form.need("grant_type")?;
    form.check_app()?;
    match grant {
        "client_credentials" => {
            prove(service, call, &form)?;
            let token = service.issue(form.audience(false)?, false);
            Ok(success(service, &token))
        }
        DEVICE_CODE => {
            let scope = poll(service, form.need("device_code")?)?;
            let form = Form(vec![("scope".to_owned(), scope)]);
            person(service, &form)
        }
        "refresh_token" => {
            if !service.is_refresh(form.need("refresh_token")?) {
                let text = "The refresh token has expired due to inactivity or was revoked.";
                return Err(refused(400, "invalid_grant", 700_082, text));
            }
            person(service, &form)
        }
        _ => {
            Err(refused(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type."))
        }
    }
}

fn success(service: &Service, token: &str) -> Value {
    let seconds = service.options.token_seconds;
    json!({"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token})
}

/// A person's token. Only who asks for offline access can refresh it.
fn person(service: &Service, form: &Form) -> Result<Value, Refused> {
    let token = service.issue(form.audience(true)?, true);
    let mut answer = success(service, &token);
    answer["scope"] = service.options.scopes.join(" ").into();
    if form.need("scope")?.split(' ').any(|scope| scope == "offline_access") {
        answer["refresh_token"] = service.issue_refresh().into();
    }
    Ok(answer)
}

/// The app proves itself with its secret or with an assertion.
fn prove(service: &Service, call: &Call, form: &Form) -> Result<(), Refused> {
    if let Some(assertion) = form.get("client_assertion") {
        if form.need("client_assertion_type")? != JWT_BEARER {
            let text = "The client_assertion_type is not supported.";
            return Err(refused(400, "invalid_request", 900_144, text));
        }
        let certificate = service.state().sign_in.certificate.clone();
        return assertion::check(certificate.as_deref(), assertion, &call.base);
    }
    match form.get("client_secret") {
        Some(SECRET) => Ok(()),
        Some(_) => {
            let text = format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
                 value, not the client secret ID, for a secret added to app '{CLIENT}'."
            );
            Err(refused(401, "invalid_client", 7_000_215, text))
        }
        None => {
            let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
            Err(refused(401, "invalid_client", 7_000_218, text))
        }
    }
}

fn device_code(service: &Service, call: &Call, tenant: &str) -> Result<Value, Refused> {
    let form = Form::read(call, tenant)?;
    form.check_app()?;
    form.audience(true)?;
    let code = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let user_code = code[..9].to_ascii_uppercase();
    let page = "https://microsoft.com/devicelogin";
    let message = format!(
        "To sign in, use a web browser to open the page {page} and enter the code {user_code} to authenticate."
    );
    let scope = form.need("scope")?.to_owned();
    service.state().sign_in.devices.push(Device { code: code.clone(), scope, polled: None });
    Ok(json!({
        "user_code": user_code, "device_code": code, "verification_uri": page, "expires_in": 900,
        "interval": service.options.interval, "message": message,
    }))
}

/// The scope that was asked for with the code, once the person has agreed.
fn poll(service: &Service, code: &str) -> Result<String, Refused> {
    let interval = Duration::from_secs(service.options.interval);
    let sign_in = &mut service.state().sign_in;
    let (verdict, told) = (sign_in.verdict, std::mem::take(&mut sign_in.slow_down));
    let Some(at) = sign_in.devices.iter().position(|device| device.code == code) else {
        return Err(refused(400, "bad_verification_code", 70018, "The device code is not valid."));
    };
    let last = sign_in.devices[at].polled.replace(Instant::now());
    // A timer may fire a little early.
    let hasty = last.is_some_and(|last| last.elapsed() + Duration::from_millis(20) < interval);
    if told || hasty {
        return Err(refused(400, "slow_down", 70016, "The device polls more often than it was told to."));
    }
    match verdict {
        Verdict::Pending => {
            let text = "OAuth 2.0 device flow error. Authorization is pending. Continue polling.";
            Err(refused(400, "authorization_pending", 70016, text))
        }
        Verdict::Declined => {
            Err(refused(400, "authorization_declined", 70020, "The person declined to sign the device in."))
        }
        Verdict::Expired => Err(refused(400, "expired_token", 70019, "Device verification code expired.")),
        // A code is good once.
        Verdict::Approved => Ok(sign_in.devices.remove(at).scope),
    }
}

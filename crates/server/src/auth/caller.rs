//! Who makes a call, as a verified token says. Only this module turns claims into a caller.

use std::fmt;

use serde_json::Value;

use super::jwt::{Claims, Flaw};
use super::permission::Permission;

/// The claim that tells a user's sign-ins of before from those of now.
pub const EPOCH: &str = "jb_epoch";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    App { client_id: String },
    User { id: String },
}

/// A caller whose token was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub kind: Kind,
    /// The directory's own id for the app or user (`oid`), else `sub`.
    pub id: String,
    /// `createdBy` of what the caller makes: a user's `name`, else the app's name, else its id.
    pub display_name: String,
    /// `requestor` of what the caller starts: a user's `upn`, else the app's name.
    pub requestor: String,
    pub tenant: Option<String>,
    /// `iss` as the token has it.
    pub issuer: String,
    /// Roles and scopes as the token has them, known here or not.
    pub granted: Vec<String>,
    /// The app that the token was given to, where it says one.
    pub client: Option<String>,
    /// What a token for a user of this server says of the user's sign-ins: those of another epoch have ended.
    pub epoch: Option<i64>,
    /// The tenant or configured issuer that vouches for the id.
    realm: String,
}

/// Where an issuer keeps what this server wants to know, and what its callers are filed under.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    pub realm: &'a str,
    pub tenant: Option<&'a str>,
    pub roles_claim: &'a str,
    /// `scp`, else `scope`, unless given.
    pub scopes_claim: Option<&'a str>,
    pub name_claim: &'a str,
}

impl<'a> Reading<'a> {
    /// Claims as the original's issuer names them.
    pub fn plain(realm: &'a str, tenant: Option<&'a str>) -> Reading<'a> {
        Reading { realm, tenant, roles_claim: "roles", scopes_claim: None, name_claim: "name" }
    }
}

/// A caller lacks what a call needs. Its text is the original's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden {
    app: bool,
    required: String,
    granted: String,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, kind) =
            if self.app { ("application roles", "roles") } else { ("delegated scopes", "scopes") };
        let Forbidden { required, granted, .. } = self;
        write!(f, "Missing {what}. API required {kind}: {required}, {what}: {granted}.")
    }
}

impl std::error::Error for Forbidden {}

impl Caller {
    /// Fails when roles or scopes are of the wrong type, or when nothing says who the caller is.
    pub fn from_claims(claims: &Claims, reading: &Reading<'_>) -> Result<Caller, Flaw> {
        let roles = roles(claims, reading.roles_claim)?;
        let scopes = scopes(claims, reading.scopes_claim)?;
        let client_id = claims.first_text(&["appid", "azp", "client_id"]);
        let subject = claims.text("sub");
        let id = claims.text("oid").or(subject);
        let tenant = reading.tenant.or_else(|| claims.text("tid")).map(str::to_owned);
        let issuer = claims.text("iss").unwrap_or_default().to_owned();
        let (kind, id, display_name, requestor) = if is_app(claims, client_id, !scopes.is_empty()) {
            let client_id = client_id.or(subject).or(id).ok_or(Flaw::Claims)?;
            let names = [reading.name_claim, "app_displayname", "client_name"];
            let name = claims.first_text(&names).unwrap_or(client_id);
            let kind = Kind::App { client_id: client_id.to_owned() };
            (kind, id.unwrap_or(client_id), name, name)
        } else {
            let id = id.ok_or(Flaw::Claims)?;
            let name = claims.first_text(&[
                reading.name_claim,
                "name",
                "upn",
                "preferred_username",
                "unique_name",
                "email",
                "app_displayname",
            ]);
            let login = claims.first_text(&["upn", "preferred_username", "unique_name", "email"]);
            let name = name.or(client_id).unwrap_or(id);
            (Kind::User { id: id.to_owned() }, id, name, login.unwrap_or(name))
        };
        let mut granted = roles;
        granted.extend(scopes);
        Ok(Caller {
            kind,
            id: id.to_owned(),
            display_name: display_name.to_owned(),
            requestor: requestor.to_owned(),
            tenant,
            issuer,
            granted,
            client: client_id.map(str::to_owned),
            epoch: claims.get(EPOCH).and_then(Value::as_i64),
            realm: reading.realm.to_owned(),
        })
    }

    /// A user who has signed in at the console, for whom this tenant or an issuer elsewhere vouched.
    pub fn signed_in(realm: &str, tenant: Option<&str>, id: String, granted: Vec<String>) -> Caller {
        Caller {
            kind: Kind::User { id: id.clone() },
            display_name: id.clone(),
            requestor: id.clone(),
            id,
            tenant: tenant.map(str::to_owned),
            issuer: String::new(),
            granted,
            client: None,
            epoch: None,
            realm: realm.to_owned(),
        }
    }

    /// The same under the names that people see, and that the user signs in with.
    pub fn called(self, display_name: String, login: String) -> Caller {
        Caller { display_name, requestor: login, ..self }
    }

    pub fn has(&self, permission: Permission) -> bool {
        self.granted.iter().any(|granted| granted == permission.name())
    }

    /// Fails unless the caller has one of `any`. The failure's text is the original's where one of its permissions
    /// would do, and names them all where there is none.
    pub fn require(&self, any: &[Permission]) -> Result<(), Forbidden> {
        if any.iter().any(|permission| self.has(*permission)) {
            return Ok(());
        }
        let originals: Vec<_> = any.iter().filter(|permission| permission.is_original()).collect();
        let required = if originals.is_empty() { any.iter().collect() } else { originals };
        let app = matches!(self.kind, Kind::App { .. });
        let fitting = required.into_iter().filter(|permission| permission.is_for(app));
        let required: Vec<_> = fitting.map(|permission| permission.name()).collect();
        Err(Forbidden { app, required: required.join(","), granted: self.granted.join(",") })
    }

    /// Whether it was this tenant, and no issuer elsewhere, that vouched for the caller.
    pub fn is_of(&self, tenant: &str) -> bool {
        self.realm == tenant
    }

    /// The same for all tokens of one app or one user at one issuer, and different from all others.
    pub fn limit_key(&self) -> String {
        match &self.kind {
            Kind::App { client_id } => format!("app {} {client_id}", self.realm),
            Kind::User { id } => format!("user {} {id}", self.realm),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.requestor)
    }
}

/// An issuer says it (`idtyp`), or the token is one an app got for itself: its subject is the
/// client, it is a Keycloak service account, or it has no scope and nobody's name in it.
fn is_app(claims: &Claims, client_id: Option<&str>, has_scopes: bool) -> bool {
    match claims.text("idtyp") {
        Some("app") => return true,
        Some(_) => return false,
        None => {}
    }
    if claims.text("scp").is_some() {
        return false;
    }
    let login = claims.first_text(&["upn", "preferred_username", "unique_name", "email"]);
    if login.is_some_and(|login| login.starts_with("service-account-")) && claims.text("client_id").is_some()
    {
        return true;
    }
    let own = client_id.is_some() && (claims.text("sub") == client_id || claims.text("sub").is_none());
    own || (login.is_none() && claims.text("name").is_none() && !has_scopes && client_id.is_some())
}

/// Roles: a list of texts. A single text is refused rather than guessed at.
fn roles(claims: &Claims, name: &str) -> Result<Vec<String>, Flaw> {
    match claims.find(name) {
        None => Ok(Vec::new()),
        Some(value) => list(value),
    }
}

/// Scopes: texts separated by spaces, or a list.
fn scopes(claims: &Claims, name: Option<&str>) -> Result<Vec<String>, Flaw> {
    let value = match name {
        Some(name) => claims.find(name),
        None => claims.get("scp").or_else(|| claims.get("scope")),
    };
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text.split_ascii_whitespace().map(str::to_owned).collect()),
        Some(value) => list(value),
    }
}

fn list(value: &Value) -> Result<Vec<String>, Flaw> {
    let items = value.as_array().ok_or(Flaw::Claims)?;
    items.iter().map(|item| item.as_str().map(str::to_owned).ok_or(Flaw::Claims)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn caller(claims: Value) -> Result<Caller, Flaw> {
        let claims = serde_json::from_value(claims).unwrap();
        Caller::from_claims(&claims, &Reading::plain("https://idp.example/", None))
    }

    #[test]
    fn an_app_token_of_the_original() {
        let caller = caller(json!({
            "iss": "https://sts.windows.net/t/", "appid": "a-1", "app_displayname": "SOAR", "idtyp": "app",
            "oid": "o-1", "sub": "o-1", "tid": "t", "roles": ["Library.Manage", "Machine.Read.All"],
        }))
        .unwrap();
        assert_eq!(caller.kind, Kind::App { client_id: "a-1".to_owned() });
        assert_eq!((caller.id.as_str(), caller.display_name.as_str()), ("o-1", "SOAR"));
        assert_eq!((caller.requestor.as_str(), caller.tenant.as_deref()), ("SOAR", Some("t")));
        assert!(caller.has(Permission::LibraryManage));
        assert_eq!(caller.require(&[Permission::LibraryManage]), Ok(()));
        assert_eq!(caller.limit_key(), "app https://idp.example/ a-1");
    }

    #[test]
    fn a_user_token_of_the_original() {
        let caller = caller(json!({
            "iss": "i", "appid": "a-1", "oid": "u-1", "sub": "pairwise", "name": "Ada Lovelace",
            "upn": "ada@contoso.example", "scp": "Library.Manage Machine.Read",
        }))
        .unwrap();
        assert_eq!(caller.kind, Kind::User { id: "u-1".to_owned() });
        assert_eq!(caller.display_name, "Ada Lovelace");
        assert_eq!(caller.requestor, "ada@contoso.example");
        assert_eq!(caller.granted, ["Library.Manage", "Machine.Read"]);
        assert_eq!(caller.limit_key(), "user https://idp.example/ u-1");
    }

    #[test]
    fn apps_and_users_of_other_issuers_are_told_apart() {
        for (app, claims) in [
            (true, json!({"sub": "c", "client_id": "c", "scope": "Library.Manage"})),
            (
                true,
                json!({"sub": "guid", "azp": "c", "client_id": "c", "scope": "profile email",
                          "preferred_username": "service-account-c"}),
            ),
            (true, json!({"azp": "c", "sub": "guid", "roles": ["Library.Manage"]})),
            (false, json!({"sub": "u", "azp": "c", "preferred_username": "ada", "scope": "openid"})),
            (false, json!({"sub": "u", "azp": "c", "scope": "Library.Manage"})),
            (false, json!({"sub": "u", "azp": "c", "preferred_username": "service-account-x"})),
            (false, json!({"sub": "u"})),
            (false, json!({"sub": "c", "azp": "c", "idtyp": "user"})),
        ] {
            let kind = caller(claims.clone()).unwrap().kind;
            assert_eq!(matches!(kind, Kind::App { .. }), app, "{claims}");
        }
        assert_eq!(caller(json!({"roles": []})), Err(Flaw::Claims));
    }

    #[test]
    fn an_app_and_a_user_of_one_name_are_limited_apart() {
        let app = caller(json!({"sub": "x", "appid": "x", "idtyp": "app"})).unwrap();
        let user = caller(json!({"sub": "x", "idtyp": "user"})).unwrap();
        assert_ne!(app.limit_key(), user.limit_key());
        assert_eq!((app.display_name.as_str(), app.requestor.as_str()), ("x", "x"));
    }

    #[test]
    fn roles_of_the_wrong_type_are_refused_not_guessed() {
        for bad in [
            json!("Library.Manage"),
            json!({"Library.Manage": true}),
            json!([1]),
            json!(["a", null]),
            json!(1),
        ] {
            assert_eq!(caller(json!({"sub": "x", "roles": bad})).err(), Some(Flaw::Claims), "{bad}");
        }
        for bad in [json!({"a": 1}), json!([["Library.Manage"]]), json!(7)] {
            assert_eq!(caller(json!({"sub": "x", "scp": bad})).err(), Some(Flaw::Claims), "{bad}");
        }
        let list = caller(json!({"sub": "x", "scp": ["Library.Manage"]})).unwrap();
        assert!(list.has(Permission::LibraryManage));
        let near = caller(json!({"sub": "x", "scope": "library.manage Library.Manage.All"})).unwrap();
        assert!(!near.has(Permission::LibraryManage));
    }

    #[test]
    fn the_refusal_reads_as_the_original_writes_it() {
        let refuse = |claims| {
            let caller = caller(claims).unwrap();
            caller.require(&[Permission::LibraryManage]).unwrap_err().to_string()
        };
        assert_eq!(
            refuse(json!({"appid": "a", "idtyp": "app", "roles": ["Alert.ReadWrite.All", "X"]})),
            "Missing application roles. API required roles: Library.Manage, application roles: Alert.ReadWrite.All,X."
        );
        assert_eq!(
            refuse(json!({"appid": "a", "idtyp": "app"})),
            "Missing application roles. API required roles: Library.Manage, application roles: ."
        );
        assert_eq!(
            refuse(json!({"sub": "u", "scp": "Machine.Read Machine.Scan"})),
            "Missing delegated scopes. API required scopes: Library.Manage, delegated scopes: Machine.Read,Machine.Scan."
        );
    }
}

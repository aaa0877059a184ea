//! Tokens: JWTs that a client may read but that only this service accepts, for as long as it
//! remembers them.

use std::collections::HashMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jumpbag_wire::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CLIENT, CLIENT_NAME, Original, Service, TENANT};

/// The person who signs in by device code: display name and user principal name.
pub(super) const USER: (&str, &str) = ("Ada Example", "ada@contoso.onmicrosoft.com");

/// Signs tokens.
pub struct Issuer {
    key: KeyPair,
    id: String,
}

impl Issuer {
    pub(super) fn new() -> Issuer {
        let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        Issuer { key, id: Uuid::new_v4().simple().to_string() }
    }

    /// The key's public half as a JSON Web Key.
    pub(super) fn public(&self) -> Value {
        let (n, e) = (self.key.public_key().modulus(), self.key.public_key().exponent());
        let [n, e] = [n, e].map(|number| URL_SAFE_NO_PAD.encode(number.big_endian_without_leading_zero()));
        json!({"kty": "RSA", "use": "sig", "kid": self.id, "x5t": self.id, "n": n, "e": e})
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": self.id, "x5t": self.id});
        let [header, claims] = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        self.key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What a token lets its bearer do.
#[derive(Debug, Clone)]
pub struct Grant {
    pub(super) permissions: Vec<String>,
    /// Who made a file: the app's name or the person's.
    pub(super) display_name: String,
    /// Who asked for an action: the app's name or the person's user principal name.
    pub(super) requestor: String,
    pub(super) delegated: bool,
    expires: i64,
}

/// The tokens that are accepted.
#[derive(Default)]
pub struct Tokens {
    access: HashMap<String, Grant>,
    refresh: Vec<String>,
}

impl Original {
    /// Every token made so far is answered with 401 from now on; new ones are good.
    pub fn forget_tokens(&self) {
        self.state().tokens.access.clear();
    }

    /// The same for what tokens are refreshed with: whoever has one must sign in again.
    pub fn forget_refresh_tokens(&self) {
        self.state().tokens.refresh.clear();
    }
}

impl Service {
    pub(super) fn grant_of(&self, token: &str) -> Option<Grant> {
        let grant = self.state().tokens.access.get(token).cloned()?;
        (Timestamp::now().secs() < grant.expires).then_some(grant)
    }

    /// A token for this resource: of the app itself, or of the person (`delegated`).
    pub(super) fn issue(&self, audience: &str, delegated: bool) -> String {
        let now = Timestamp::now().secs();
        let expires = now + self.options.token_seconds;
        let mut claims = json!({
            "aud": audience, "iss": format!("https://sts.windows.net/{TENANT}/"), "tid": TENANT, "ver": "1.0",
            "iat": now, "nbf": now, "exp": expires, "appid": CLIENT, "app_displayname": CLIENT_NAME,
            "oid": "7e1a0c55-2b9d-4c1e-a0f3-6f3f0b7d9a21", "uti": Uuid::new_v4().simple().to_string(),
        });
        let permissions = if delegated {
            let (name, upn) = USER;
            (claims["name"], claims["upn"], claims["unique_name"]) = (name.into(), upn.into(), upn.into());
            claims["scp"] = self.options.scopes.join(" ").into();
            &self.options.scopes
        } else {
            // Entra leaves the claim out where there is no role.
            if !self.options.roles.is_empty() {
                claims["roles"] = json!(self.options.roles);
            }
            &self.options.roles
        };
        let token = self.issuer.sign(&claims);
        let (display_name, requestor) = if delegated { USER } else { (CLIENT_NAME, CLIENT_NAME) };
        let grant = Grant {
            permissions: permissions.clone(),
            display_name: display_name.to_owned(),
            requestor: requestor.to_owned(),
            delegated,
            expires,
        };
        self.state().tokens.access.insert(token.clone(), grant);
        token
    }

    pub(super) fn issue_refresh(&self) -> String {
        let token = format!("0.{}", Uuid::new_v4().simple());
        self.state().tokens.refresh.push(token.clone());
        token
    }

    pub(super) fn is_refresh(&self, token: &str) -> bool {
        self.state().tokens.refresh.iter().any(|known| known == token)
    }
}

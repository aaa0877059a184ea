//! Reading a compact JWS strictly: three parts, one algorithm of a short list, no claim given
//! twice. What is read stays a suspicion until `signed_by` has said yes.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use jumpbag_wire::time::Timestamp;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Longer tokens are refused before they are looked at.
pub const MAX_TOKEN: usize = 16 * 1024;

/// How far clocks may differ, in seconds.
pub const SKEW: i64 = 300;

/// Why a text is no token this server reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("the token is longer than 16 KiB")]
    TooLong,
    #[error("the token is not a signed JWT")]
    Shape,
    #[error("the token's header is not valid")]
    Header,
    #[error("the token's signature algorithm is not accepted")]
    Algorithm,
    #[error("the token's claims are not valid")]
    Claims,
    #[error("the token is expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
}

#[derive(Debug, Deserialize)]
pub struct Header {
    pub alg: String,
    pub kid: Option<String>,
    pub typ: Option<String>,
    pub x5t: Option<String>,
    #[serde(rename = "x5t#S256")]
    pub x5t_s256: Option<String>,
    crit: Option<Value>,
}

/// A token taken apart, its signature not yet checked.
#[derive(Debug)]
pub struct Jws<'a> {
    pub algorithm: Algorithm,
    pub header: Header,
    pub claims: Claims,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Jws<'a> {
    /// Fails on anything but header, claims and signature in unpadded base64url, with an
    /// asymmetric algorithm, a token type that may be an access token, and no critical extension.
    pub fn parse(token: &'a str) -> Result<Jws<'a>, Flaw> {
        if token.len() > MAX_TOKEN {
            return Err(Flaw::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Flaw::Shape)?;
        let (header, claims) = signed.split_once('.').ok_or(Flaw::Shape)?;
        if claims.contains('.') {
            return Err(Flaw::Shape);
        }
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| Flaw::Shape)?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| Flaw::Header)?;
        if header.crit.is_some() || !header.typ.as_deref().is_none_or(is_token_type) {
            return Err(Flaw::Header);
        }
        let algorithm = algorithm(&header.alg).ok_or(Flaw::Algorithm)?;
        if signature.is_empty() {
            return Err(Flaw::Shape);
        }
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| Flaw::Shape)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| Flaw::Claims)?;
        Ok(Jws { algorithm, header, claims, signed, signature })
    }

    /// Whether `key` made the signature, with the algorithm the header names and the key is for.
    pub fn signed_by(&self, key: &DecodingKey) -> bool {
        key.family() == self.algorithm.family()
            && jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, self.algorithm)
                .unwrap_or(false)
    }
}

/// The list is the whole list: no `none`, and no HMAC, whose key would be a public one here.
fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        _ => return None,
    })
}

fn is_token_type(typ: &str) -> bool {
    ["JWT", "at+jwt", "application/at+jwt"].iter().any(|known| typ.eq_ignore_ascii_case(known))
}

/// The claims of a token, each given once.
#[derive(Debug, Clone, Default)]
pub struct Claims(Map<String, Value>);

impl Claims {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A claim by its name or, where no claim has that name, by a path of names joined by dots
    /// (`realm_access.roles`).
    pub fn find(&self, path: &str) -> Option<&Value> {
        if let Some(value) = self.get(path) {
            return Some(value);
        }
        let mut names = path.split('.');
        let mut value = self.get(names.next()?)?;
        for name in names {
            value = value.as_object()?.get(name)?;
        }
        Some(value).filter(|value| !value.is_null())
    }

    /// A claim that is a text with something in it, and without U+0000, which PostgreSQL does not take.
    pub fn text(&self, name: &str) -> Option<&str> {
        let text = self.find(name)?.as_str()?;
        (!text.trim().is_empty() && !text.contains('\0')).then_some(text)
    }

    /// The first of `names` that is a text.
    pub fn first_text(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.text(name))
    }

    /// `aud`: one text or a list of texts. Fails when it is missing or anything else.
    pub fn audiences(&self) -> Result<Vec<&str>, Flaw> {
        match self.get("aud") {
            Some(Value::String(one)) => Ok(vec![one]),
            Some(Value::Array(list)) => list.iter().map(|one| one.as_str().ok_or(Flaw::Claims)).collect(),
            _ => Err(Flaw::Claims),
        }
    }

    /// Seconds since 1970; clients also send fractions.
    pub fn seconds(&self, name: &str) -> Result<Option<i64>, Flaw> {
        /// The year 5138: far enough, and no sum of such numbers overflows.
        const LIMIT: f64 = 1e11;
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value.as_f64().ok_or(Flaw::Claims)?;
        if number.abs() > LIMIT { Err(Flaw::Claims) } else { Ok(Some(number.floor() as i64)) }
    }

    /// When the token may be used. Fails without `exp`, which is required.
    pub fn lifetime(&self) -> Result<Lifetime, Flaw> {
        let expires = self.seconds("exp")?.ok_or(Flaw::Claims)?;
        Ok(Lifetime { not_before: self.seconds("nbf")?, expires })
    }
}

/// `nbf` and `exp`, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    pub not_before: Option<i64>,
    pub expires: i64,
}

impl Lifetime {
    /// Fails outside the lifetime, clocks being allowed to differ by `SKEW`.
    pub fn covers(&self, now: Timestamp) -> Result<(), Flaw> {
        if now.secs() >= self.expires + SKEW {
            return Err(Flaw::Expired);
        }
        match self.not_before {
            Some(start) if now.secs() + SKEW < start => Err(Flaw::NotYetValid),
            _ => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Claims, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Claims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of claims, each given once")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Claims, A::Error> {
                let mut claims = Map::new();
                while let Some((name, value)) = given.next_entry::<String, Value>()? {
                    if claims.contains_key(&name) {
                        return Err(A::Error::custom("a claim is given twice"));
                    }
                    claims.insert(name, value);
                }
                Ok(Claims(claims))
            }
        }
        deserializer.deserialize_map(Once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str, claims: &str, signature: &str) -> Result<(), Flaw> {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        Jws::parse(&format!("{}.{}.{signature}", part(header), part(claims))).map(|_| ())
    }

    #[test]
    fn only_a_well_made_token_is_taken_apart() {
        let good = r#"{"alg":"RS256","typ":"at+JWT","kid":"a","jku":"https://evil.example/"}"#;
        assert_eq!(read(good, "{}", "AA"), Ok(()));
        assert_eq!(read(r#"{"alg":"ES256"}"#, r#"{"a":{"b":1}}"#, "AA"), Ok(()));
        for (header, claims, signature, flaw) in [
            (good, "{}", "", Flaw::Shape),
            (good, "[]", "AA", Flaw::Claims),
            (good, r#"{"aud":"a","aud":"b"}"#, "AA", Flaw::Claims),
            (good, r#"{"a":1} x"#, "AA", Flaw::Claims),
            ("{}", "{}", "AA", Flaw::Header),
            ("[", "{}", "AA", Flaw::Header),
            (r#"{"alg":"RS256","alg":"ES256"}"#, "{}", "AA", Flaw::Header),
            (r#"{"alg":"RS256","kid":"a","kid":"b"}"#, "{}", "AA", Flaw::Header),
            (r#"{"alg":"RS256","kid":7}"#, "{}", "AA", Flaw::Header),
            (r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, "{}", "AA", Flaw::Header),
            (r#"{"alg":"RS256","typ":"logout+jwt"}"#, "{}", "AA", Flaw::Header),
            (r#"{"alg":"none"}"#, "{}", "AA", Flaw::Algorithm),
            (r#"{"alg":"None"}"#, "{}", "AA", Flaw::Algorithm),
            (r#"{"alg":"HS256"}"#, "{}", "AA", Flaw::Algorithm),
            (r#"{"alg":"rs256"}"#, "{}", "AA", Flaw::Algorithm),
            (r#"{"alg":""}"#, "{}", "AA", Flaw::Algorithm),
        ] {
            assert_eq!(read(header, claims, signature), Err(flaw), "{header} {claims}");
        }
        let deep = format!("{{\"a\":{}", "[".repeat(9_000));
        assert_eq!(read(good, &deep, "AA"), Err(Flaw::Claims));
    }

    #[test]
    fn parts_are_three_and_unpadded_base64url() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        for bad in ["", ".", "a", "a.b", "a.b.c", "{}.{}.AA"] {
            assert_eq!(Jws::parse(bad).err(), Some(Flaw::Shape), "{bad}");
        }
        for bad in [format!("{header}=.e30.AA"), format!("{header}.e30.AA.AA"), format!("{header}.e30=.AA")] {
            assert_eq!(Jws::parse(&bad).err(), Some(Flaw::Shape), "{bad}");
        }
        assert_eq!(Jws::parse(&"a".repeat(MAX_TOKEN + 1)).err(), Some(Flaw::TooLong));
    }

    fn claims(json: &str) -> Claims {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn lifetime_needs_a_number_and_allows_five_minutes() {
        let at = Timestamp::from_secs;
        let lifetime = claims(r#"{"exp":1000.9,"nbf":500}"#).lifetime().unwrap();
        assert_eq!(lifetime, Lifetime { not_before: Some(500), expires: 1000 });
        assert_eq!(lifetime.covers(at(199)), Err(Flaw::NotYetValid));
        assert_eq!(lifetime.covers(at(200)), Ok(()));
        assert_eq!(lifetime.covers(at(1299)), Ok(()));
        assert_eq!(lifetime.covers(at(1300)), Err(Flaw::Expired));
        for bad in [
            "{}",
            r#"{"exp":null}"#,
            r#"{"exp":"1000"}"#,
            r#"{"exp":1e300}"#,
            r#"{"exp":18446744073709551615}"#,
            r#"{"exp":1,"nbf":[]}"#,
        ] {
            assert_eq!(claims(bad).lifetime(), Err(Flaw::Claims), "{bad}");
        }
    }

    #[test]
    fn claims_are_found_by_name_before_path() {
        let claims = claims(
            r#"{"a.b":"name","a":{"b":"path","c":{"d":"deep"}},"blank":" ","nul":"a\u0000","aud":["x",1]}"#,
        );
        assert_eq!(claims.text("a.b"), Some("name"));
        assert_eq!(claims.text("a.c.d"), Some("deep"));
        assert_eq!(claims.text("a.c.d.e"), None);
        assert_eq!(claims.first_text(&["none", "blank", "nul", "a.b"]), Some("name"));
        assert_eq!(claims.audiences(), Err(Flaw::Claims));
    }
}

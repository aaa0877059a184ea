use base64::engine::general_purpose::STANDARD;

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";
const GOOD: &str = "grant_type=client_credentials&client_id=app&client_secret=s%2B1&\
                    scope=https%3A%2F%2Fapi.securitycenter.microsoft.com%2F.default";

fn v2(body: &str) -> Result<TokenRequest, TokenError> {
    TokenRequest::parse(Version::V2, Some(FORM), None, body.as_bytes())
}

fn secret(text: &str) -> Credential {
    Credential::Secret(vec![Hidden::new(text)])
}

#[test]
fn a_form_is_read_however_it_is_labelled() {
    let wanted = TokenRequest {
        version: Version::V2,
        client_id: "app".to_owned(),
        resource: "https://api.securitycenter.microsoft.com".to_owned(),
        credential: secret("s+1"),
    };
    let labels = [
        None,
        Some(FORM),
        Some("application/x-www-form-urlencoded;charset=utf-8"),
        Some("text/plain"),
        Some("application/json"),
    ];
    for label in labels {
        let read = TokenRequest::parse(Version::V2, label, None, GOOD.as_bytes());
        assert_eq!(read.as_ref(), Ok(&wanted), "{label:?}");
    }
    assert_eq!(v2(&format!("\u{feff}{GOOD}\r\n")), Ok(wanted));
}

#[test]
fn json_is_read_however_it_is_labelled() {
    let body = r#"{"Grant_Type":"client_credentials","CLIENT_ID":"app","client_secret":"s",
                   "resource":"https://api.securitycenter.microsoft.com/","extra":{"a":[1]},"scope":null}"#;
    for label in [None, Some(FORM), Some("application/json")] {
        let read = TokenRequest::parse(Version::V1, label, None, body.as_bytes()).unwrap();
        assert_eq!(read.resource, "https://api.securitycenter.microsoft.com/", "{label:?}");
        assert_eq!(read.credential, secret("s"));
    }
    for bad in [r#"{"grant_type":["client_credentials"]}"#, "{", r#"{"grant_type":1}"#, "{} {}"] {
        assert!(matches!(v2(bad), Err(TokenError::Malformed(_))), "{bad}");
    }
    let bare = TokenRequest::parse(Version::V1, Some("application/json"), None, b"[1]");
    assert!(matches!(bare, Err(TokenError::Malformed(_))));
}

#[test]
fn what_is_missing_is_named() {
    for (gone, error) in [
        ("grant_type=client_credentials&", TokenError::MissingParameter("grant_type")),
        ("client_id=app&", TokenError::MissingParameter("client_id")),
        ("client_secret=s%2B1&", TokenError::NoCredential),
    ] {
        assert_eq!(v2(&GOOD.replace(gone, "")), Err(error));
    }
    let scopeless = GOOD.split("&scope").next().unwrap();
    assert_eq!(v2(scopeless), Err(TokenError::MissingParameter("scope")));
    assert_eq!(v2(&format!("{scopeless}&scope=")), Err(TokenError::MissingParameter("scope")));
    let v1 = TokenRequest::parse(Version::V1, None, None, GOOD.as_bytes());
    assert_eq!(v1, Err(TokenError::MissingParameter("resource")));
    assert_eq!(v2(""), Err(TokenError::MissingParameter("grant_type")));
}

#[test]
fn other_grants_repeated_parameters_and_other_bytes_are_refused() {
    for grant in ["password", "implicit", "device_code", "Client_Credentials"] {
        let body = GOOD.replace("client_credentials", grant);
        assert_eq!(v2(&body), Err(TokenError::UnsupportedGrant(grant.to_owned())));
    }
    assert!(matches!(v2(&format!("{GOOD}&client_id=other")), Err(TokenError::Malformed(_))));
    assert!(matches!(v2(&format!("{GOOD}&Client_ID=other")), Err(TokenError::Malformed(_))));
    assert!(v2(&format!("{GOOD}&client_id=app&x=1&x=2")).is_ok());
    let bytes = TokenRequest::parse(Version::V2, None, None, b"grant_type=\xff");
    assert!(matches!(bytes, Err(TokenError::Malformed(_))));
}

#[test]
fn a_v2_scope_names_one_resource() {
    for (scope, resource) in [
        ("https://a.example/.default", "https://a.example"),
        ("https://a.example//.default", "https://a.example/"),
        ("openid https://a.example/.default offline_access profile", "https://a.example"),
        ("https://a.example/.default https://a.example/.default", "https://a.example"),
        ("fc780465-2017-40d4-a0c5-307022471b92/.default", "fc780465-2017-40d4-a0c5-307022471b92"),
    ] {
        assert_eq!(resource_of(scope), Ok(resource), "{scope}");
    }
    for bad in
        ["https://a.example", "https://a.example/Library.Manage", ".default", "/.default", "openid", " "]
    {
        assert!(matches!(resource_of(bad), Err(TokenError::ScopeNotDefault(_))), "{bad}");
    }
    let two = "https://a.example/.default https://b.example/.default";
    assert_eq!(resource_of(two), Err(TokenError::SeveralResources));
}

#[test]
fn http_basic_is_read_encoded_and_raw() {
    let body = "grant_type=client_credentials&scope=https://a.example/.default";
    let with = |pair: &str, body: &str| {
        let header = format!("bAsIc {}", STANDARD.encode(pair));
        TokenRequest::parse(Version::V2, None, Some(&header), body.as_bytes())
    };
    let plain = with("app:jb_secret", body).unwrap();
    assert_eq!((plain.client_id.as_str(), plain.credential), ("app", secret("jb_secret")));
    let escaped = with("my%20app:a%2Bb:c", body).unwrap();
    assert_eq!(escaped.client_id, "my app");
    let both = Credential::Secret(vec![Hidden::new("a+b:c"), Hidden::new("a%2Bb:c")]);
    assert_eq!(escaped.credential, both);
    assert!(with("app:s", &format!("{body}&client_id=app")).is_ok());
    assert!(with("app:s", &format!("{body}&client_id=app&client_secret=s")).is_ok());
    for other in ["client_id=b", "client_secret=t", "client_assertion=x"] {
        let read = with("app:s", &format!("{body}&{other}"));
        assert!(matches!(read, Err(TokenError::Malformed(_))), "{other}");
    }
    for useless in ["Bearer abc", "Basic", "Basic !!!", "Basic YQ", "Negotiate x"] {
        let read = TokenRequest::parse(Version::V2, None, Some(useless), body.as_bytes());
        assert_eq!(read, Err(TokenError::MissingParameter("client_id")), "{useless}");
    }
}

#[test]
fn an_assertion_needs_its_type_and_stands_alone() {
    let body =
        "grant_type=client_credentials&client_id=app&client_assertion=a.b.c&scope=https://a.example/.default";
    assert_eq!(v2(body), Err(TokenError::MissingParameter("client_assertion_type")));
    let typed = format!("{body}&client_assertion_type={ASSERTION_TYPE}");
    assert_eq!(v2(&typed).unwrap().credential, Credential::Assertion(Hidden::new("a.b.c")));
    assert!(matches!(v2(&format!("{typed}&client_secret=s")), Err(TokenError::Malformed(_))));
    let saml = typed.replace("jwt-bearer", "saml2-bearer");
    assert!(matches!(v2(&saml), Err(TokenError::Malformed(_))));
    let anonymous = typed.replace("client_id=app&", "");
    assert_eq!(v2(&anonymous), Err(TokenError::MissingParameter("client_id")));
}

#[test]
fn a_request_shows_no_secret() {
    assert!(!format!("{:?}", v2(GOOD).unwrap()).contains("s+1"));
}

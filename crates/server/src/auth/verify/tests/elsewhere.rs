//! Tokens of issuers elsewhere, and how long a verdict is remembered.

use super::*;

#[tokio::test]
async fn issuers_cannot_speak_for_each_other() {
    let site = Site::open().await;
    let their = site.their_claims();
    assert!(site.says(&site.elsewhere(&their)).await.is_ok());
    let ours_by_them = site.elsewhere(&claims());
    assert_eq!(site.says(&ours_by_them).await.err(), Some(AuthError::UnknownKey));
    let theirs_by_us = site.made(&their);
    assert_eq!(site.says(&theirs_by_us).await.err(), Some(AuthError::UnknownKey));
    let stolen_name =
        token(r#"{"alg":"RS256","kid":"ext"}"#, &their.to_string(), &encoding(&site.own), Algorithm::RS256);
    assert_eq!(site.says(&stolen_name).await.err(), Some(AuthError::UnknownKey));
    let stranger =
        token(r#"{"alg":"ES256","kid":"ext"}"#, &their.to_string(), &elliptic("ext").0, Algorithm::ES256);
    assert_eq!(site.says(&stranger).await.err(), Some(AuthError::Signature));
}

#[tokio::test]
async fn a_token_of_another_issuer_names_its_user() {
    let site = Site::open().await;
    let caller = site.says(&site.elsewhere(&site.their_claims())).await.unwrap();
    assert_eq!((caller.display_name.as_str(), caller.requestor.as_str()), ("Ada", "ada@idp.example"));
    assert_eq!(caller.limit_key(), format!("user {} u-1", site.idp.base));
    let alias = with(site.their_claims(), "iss", json!("https://alias.example/v1/"));
    let same = site.says(&site.elsewhere(&alias)).await.unwrap();
    assert_eq!(same.limit_key(), caller.limit_key());
    let nameless = token(r#"{"alg":"ES256"}"#, &site.their_claims().to_string(), &site.key, Algorithm::ES256);
    assert!(site.says(&nameless).await.is_ok());
    for (name, value, error) in [
        ("iss", json!(format!("{}/", site.idp.base)), AuthError::Issuer),
        ("iss", json!("https://alias.example/v1"), AuthError::Issuer),
        ("aud", json!("https://api.securitycenter.microsoft.com"), AuthError::Audience),
        ("tid", json!("other"), AuthError::Tenant),
        ("tid", json!(1), AuthError::Tenant),
        ("exp", json!(NOW.secs() - SKEW), Flaw::Expired.into()),
        ("scp", json!(1), Flaw::Claims.into()),
    ] {
        let token = site.elsewhere(&with(site.their_claims(), name, value.clone()));
        assert_eq!(site.says(&token).await.err(), Some(error), "{name} {value}");
    }
}

#[tokio::test]
async fn an_id_token_counts_for_its_client_and_its_errand() {
    let site = Site::open().await;
    let issuer = &site.verifier.issuers()[0];
    let says = async |token: &str| issuer.signed_in(token, "console", "n-1", NOW).await;
    let right = with(with(site.their_claims(), "aud", json!("console")), "nonce", json!("n-1"));
    let caller = says(&site.elsewhere(&right)).await.unwrap();
    assert_eq!(caller.limit_key(), format!("user {} u-1", site.idp.base));
    let several = with(with(right.clone(), "aud", json!(["other", "console"])), "azp", json!("console"));
    assert!(says(&site.elsewhere(&several)).await.is_ok());
    for (name, value, error) in [
        ("aud", json!("api://jumpbag"), AuthError::Audience),
        ("aud", json!([]), AuthError::Audience),
        ("azp", json!("other"), AuthError::Audience),
        ("azp", json!(["console"]), AuthError::Audience),
        ("nonce", json!("n-2"), AuthError::Nonce),
        ("nonce", Value::Null, AuthError::Nonce),
        ("iss", json!("https://elsewhere.example"), AuthError::Issuer),
        ("iss", Value::Null, AuthError::Issuer),
        ("tid", json!("other"), AuthError::Tenant),
        ("exp", json!(NOW.secs() - SKEW), Flaw::Expired.into()),
        ("exp", Value::Null, Flaw::Claims.into()),
    ] {
        let token = site.elsewhere(&with(right.clone(), name, value.clone()));
        assert_eq!(says(&token).await.err(), Some(error), "{name} {value}");
    }
    let stranger =
        token(r#"{"alg":"ES256","kid":"ext"}"#, &right.to_string(), &elliptic("ext").0, Algorithm::ES256);
    assert_eq!(says(&stranger).await.err(), Some(AuthError::Signature));
}

#[tokio::test]
async fn claims_are_read_where_the_settings_say() {
    let (key, jwk) = elliptic("k");
    let idp = Idp::start(vec![jwk]).await;
    let config = IssuerConfig {
        roles_claim: Some("realm_access.roles".to_owned()),
        scopes_claim: Some("rights".to_owned()),
        name_claim: Some("nick".to_owned()),
        tenant: None,
        ..issuer(&idp)
    };
    let issuers = vec![Issuer::new(config).unwrap()];
    let verifier = Verifier::new(tenant(), vec![], ring(&[rsa()]), issuers);
    let claims = json!({
        "iss": idp.base, "aud": "api://jumpbag", "exp": NOW.secs(), "sub": "u", "nick": "Countess", "name": "Ada",
        "realm_access": {"roles": ["Library.Manage"]}, "rights": "A B", "scp": "C", "roles": ["D"],
    });
    let token =
        token(r#"{"alg":"ES256","kid":"k","typ":"at+jwt"}"#, &claims.to_string(), &key, Algorithm::ES256);
    let caller = verifier.verify(Some(&format!("bearer {token}")), NOW).await.unwrap();
    assert_eq!(caller.granted, ["Library.Manage", "A", "B"]);
    assert_eq!(caller.display_name, "Countess");
}

#[tokio::test]
async fn an_issuer_that_is_down_holds_up_nobody_else() {
    let site = Site::open().await;
    site.idp.close();
    let (key, jwk) = elliptic("k");
    let healthy = Idp::start(vec![jwk]).await;
    let both = vec![
        Issuer::new(issuer(&site.idp)).unwrap(),
        Issuer::new(IssuerConfig { aliases: vec![], ..issuer(&healthy) }).unwrap(),
    ];
    let verifier = Arc::new(Verifier::new(tenant(), vec![], ring(std::slice::from_ref(&site.own)), both));
    let waiting = {
        let (verifier, token) = (Arc::clone(&verifier), site.elsewhere(&site.their_claims()));
        tokio::spawn(async move { verifier.verify(Some(&format!("Bearer {token}")), NOW).await })
    };
    while site.idp.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    let claims = with(site.their_claims(), "iss", json!(healthy.base)).to_string();
    let theirs = token(r#"{"alg":"ES256","kid":"k"}"#, &claims, &key, Algorithm::ES256);
    assert!(verifier.verify(Some(&format!("Bearer {theirs}")), NOW).await.is_ok());
    let own = site.made(&self::claims());
    assert!(verifier.verify(Some(&format!("Bearer {own}")), NOW).await.is_ok());
    assert!(!waiting.is_finished());
    site.idp.open();
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn an_issuer_without_keys_is_told_from_a_bad_token() {
    let site = Site::open().await;
    site.idp.answer(Answer::Down);
    let token = site.elsewhere(&site.their_claims());
    assert_eq!(site.says(&token).await.err(), Some(AuthError::IssuerUnavailable));
}

#[tokio::test]
async fn a_cached_verdict_ends_with_its_token_and_with_its_key() {
    let site = Site::open().await;
    let own = format!("Bearer {}", site.made(&claims()));
    let theirs =
        format!("Bearer {}", site.elsewhere(&with(site.their_claims(), "exp", json!(NOW.secs() + 90_000))));
    let ask = async |header: &str, secs| site.verifier.verify(Some(header), NOW.plus_secs(secs)).await;
    let first = ask(&own, 0).await.unwrap();
    assert!(Arc::ptr_eq(&first, &ask(&own, 1).await.unwrap()), "the second answer is the first one");
    assert_eq!(ask(&own, 60 + SKEW).await.err(), Some(Flaw::Expired.into()));
    assert_eq!(ask(&own, -60 - SKEW - 1).await.err(), Some(Flaw::NotYetValid.into()));
    assert!(ask(&own, 0).await.is_ok());
    site.verifier.replace_keys(ring(&[rsa()]));
    assert_eq!(ask(&own, 0).await.err(), Some(AuthError::UnknownKey));

    let first = ask(&theirs, 0).await.unwrap();
    assert!(Arc::ptr_eq(&first, &ask(&theirs, 3599).await.unwrap()));
    site.idp.answer(Answer::Keys(vec![elliptic("new").1]));
    assert_eq!(ask(&theirs, 3600).await.err(), Some(AuthError::UnknownKey));
}

#[tokio::test]
async fn a_refusal_is_not_remembered() {
    let (key, jwk) = elliptic("ext2");
    let site = Site::open().await;
    let claims = site.their_claims().to_string();
    let early =
        format!("Bearer {}", token(r#"{"alg":"ES256","kid":"ext2"}"#, &claims, &key, Algorithm::ES256));
    assert_eq!(site.verifier.verify(Some(&early), NOW).await.err(), Some(AuthError::UnknownKey));
    site.idp.answer(Answer::Keys(vec![jwk]));
    assert!(site.verifier.verify(Some(&early), NOW.plus_secs(30)).await.is_ok());
}

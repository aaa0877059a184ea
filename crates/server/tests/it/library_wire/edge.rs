//! What every answer has in common: paths, methods, envelope, ids, caching, compression.

use std::collections::HashSet;
use std::io::Read;

use http::Method;
use serde_json::Value;

use crate::support::clients::python;
use crate::support::server::Jumpbag;

#[tokio::test]
async fn paths_in_any_letter_case_under_either_version_with_a_slash_or_not() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let client = bag.client().await;
    for (n, path) in [
        "/api/libraryfiles",
        "/API/LibraryFiles",
        "/Api/LIBRARYFILES/",
        "/api/v1.0/libraryfiles",
        "/API/V1.0/LibraryFiles/",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("Case-{n}.ps1");
        let form = reqwest::multipart::Form::new();
        let form = form.part("file", reqwest::multipart::Part::bytes(b"x".to_vec()).file_name(name.clone()));
        let posted = client.post(path).with(|request| request.multipart(form)).await;
        assert_eq!(posted.status, 200, "{path}: {}", posted.text());
        let list = client.get(path).await.expect_status(200).json();
        assert_eq!(list["value"][n]["fileName"], name, "{path}");
        let one = format!("{}/cASE-{n}.PS1", path.trim_end_matches('/'));
        client.get(&one).await.expect_status(200);
        let deleted = client.delete(&format!("{one}/")).await;
        assert_eq!(deleted.status, 204, "{one}");
        client.get(&one).await.expect_status(404);
        bag.upload(&name, "x").await.expect_status(200);
    }
    for path in ["/api", "/API/", "/api/v1.0", "/api/$metadata", "/API/%24METADATA", "/api/v1.0/$Metadata"] {
        assert_eq!(client.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_allowed() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    insta::assert_snapshot!(client.get("/api/nothing").await.snapshot(), @r#"
    404
    content-type: application/json; charset=utf-8
    request-id: [id-1]

    {
      "error": {
        "code": "NotFound",
        "message": "no such resource: `/api/nothing`",
        "target": "[id-1]"
      }
    }
    "#);
    insta::assert_snapshot!(client.call(Method::PUT, "/api/libraryfiles").await.snapshot(), @r#"
    405
    allow: POST,GET,HEAD
    content-type: application/json; charset=utf-8
    request-id: [id-1]

    {
      "error": {
        "code": "BadRequest",
        "message": "`PUT` is not allowed on `/api/libraryfiles`",
        "target": "[id-1]"
      }
    }
    "#);
    insta::assert_snapshot!(client.call(Method::PUT, "/API/v1.0/LibraryFiles/a.ps1").await.snapshot(), @r#"
    405
    allow: GET,HEAD,PATCH,DELETE
    content-type: application/json; charset=utf-8
    request-id: [id-1]

    {
      "error": {
        "code": "BadRequest",
        "message": "`PUT` is not allowed on `/API/v1.0/LibraryFiles/a.ps1`",
        "target": "[id-1]"
      }
    }
    "#);
    // Without a token as well: there is nothing to protect.
    let anonymous = bag.anonymous();
    for path in ["/nothing", "/api/libraryfiles/a/b", "/api/v2.0/libraryfiles", "/apis", "/api//libraryfiles"]
    {
        let answer = anonymous.get(path).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (404, "NotFound"), "{path}");
        assert_eq!(answer.error_message(), format!("no such resource: `{path}`"));
    }
    for (method, path, allow) in [
        (Method::POST, "/api", "GET,HEAD"),
        (Method::DELETE, "/api/$metadata", "GET,HEAD"),
        (Method::OPTIONS, "/api/libraryfiles", "POST,GET,HEAD"),
        (Method::POST, "/api/libraryfiles/a.ps1", "GET,HEAD,PATCH,DELETE"),
        (Method::GET, "/contoso/oauth2/v2.0/token", "POST"),
    ] {
        let answer = anonymous.call(method.clone(), path).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.error_message(), format!("`{method}` is not allowed on `{path}`"));
        let set =
            |text: &str| -> HashSet<String> { text.split(',').map(|word| word.trim().to_string()).collect() };
        assert_eq!(answer.header("allow").map(set), Some(set(allow)), "{method} {path}");
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let bag = Jumpbag::start().await;
    bag.upload("a.ps1", "x").await.expect_status(200);
    let client = bag.client().await;
    for path in
        ["/api/libraryfiles", "/api/libraryfiles/a.ps1", "/api", "/api/$metadata", "/api/libraryfiles?$top=1"]
    {
        let (get, head) = (client.get(path).await, client.call(Method::HEAD, path).await);
        assert_eq!((get.status, head.status), (200, 200), "{path}");
        assert!(head.body.is_empty(), "{path}");
        for name in ["content-type", "content-length", "etag", "odata-version", "vary"] {
            assert_eq!(get.header(name), head.header(name), "{path}: {name}");
        }
        assert_eq!(get.header("content-length"), Some(get.body.len().to_string().as_str()), "{path}");
    }
    let absent = client.call(Method::HEAD, "/api/libraryfiles/absent").await;
    assert_eq!((absent.status, absent.body.len()), (404, 0));
}

#[tokio::test]
async fn every_answer_has_an_id_that_its_error_and_the_log_name() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    let mut ids = HashSet::new();
    for (path, status) in [
        ("/api/libraryfiles", 200),
        ("/api/libraryfiles/absent", 404),
        ("/api/libraryfiles?$top=x", 400),
        ("/nothing", 404),
        ("/common/discovery/instance", 200),
    ] {
        let answer = client.get(path).await.expect_status(status);
        let id = answer.header("request-id").expect("a request id").to_string();
        uuid::Uuid::parse_str(&id).expect("a GUID");
        if status >= 400 {
            assert_eq!(answer.json()["error"]["target"], id.as_str(), "{path}");
        }
        bag.logged(&[&id, &format!("status={status}")]).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(ids.insert(id), "an id comes twice");
    }
}

#[tokio::test]
async fn a_list_that_did_not_change_is_not_sent_again() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let client = bag.client().await;
    bag.upload("a.ps1", "x").await.expect_status(200);
    let known = async |path: &str, etag: &str| {
        client.get(path).with(|request| request.header("if-none-match", etag)).await
    };
    for path in
        ["/api/libraryfiles", "/api/libraryfiles?$top=5&$orderby=size", "/api/libraryfiles?$count=true"]
    {
        let first = client.get(path).await.expect_status(200);
        let etag = first.header("etag").expect("an ETag").to_string();
        assert_eq!(client.get(path).await.header("etag"), Some(etag.as_str()), "{path}");
        let strong = etag.trim_start_matches("W/").to_string();
        for sent in [etag.clone(), strong, format!("\"other\", {etag}"), "*".into()] {
            let again = known(path, &sent).await;
            assert_eq!((again.status, again.body.len()), (304, 0), "{path} {sent}");
            assert_eq!(again.header("etag"), Some(etag.as_str()), "{path} {sent}");
            assert_eq!(again.header("vary"), Some("Accept-Encoding"));
        }
        known(path, "\"other\"").await.expect_status(200);
        for change in 0..3 {
            match change {
                0 => bag.upload("b.ps1", "y").await.expect_status(200),
                1 => bag.upload("b.ps1", "z").override_if_exists().await.expect_status(200),
                _ => bag.delete("b.ps1").await.expect_status(204),
            };
            assert_eq!(known(path, &etag).await.status, 200, "{path}: change {change} goes unseen");
        }
    }
    // The ETag of one question is not another's.
    let plain = client.get("/api/libraryfiles").await;
    let etag = plain.header("etag").expect("an ETag");
    known("/api/libraryfiles?$top=0", etag).await.expect_status(200);
}

#[tokio::test]
async fn answers_are_compressed_when_asked() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let client = bag.client().await;
    for n in 0..20 {
        bag.upload(&format!("file-{n}.ps1"), "x").await.expect_status(200);
    }
    // One file goes out as it is: its entity tag is a strong one.
    for path in
        ["/api/libraryfiles", "/api/libraryfiles?$top=10", "/api/deletedlibraryfiles", "/api/$metadata"]
    {
        let plain = client.get(path).await.expect_status(200);
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        let asking = async |coding: &str| {
            client.get(path).with(|request| request.header("accept-encoding", coding)).await
        };
        for coding in ["gzip", "deflate, gzip;q=0.5", "GZIP"] {
            let packed = asking(coding).await.expect_status(200);
            assert_eq!(packed.header("content-encoding"), Some("gzip"), "{path} {coding}");
            let vary = packed.header("vary").unwrap_or_default().to_ascii_lowercase();
            assert_eq!(vary, "accept-encoding", "{path} {coding}");
            let mut text = String::new();
            flate2::read::GzDecoder::new(packed.body.as_ref()).read_to_string(&mut text).expect("gzip");
            assert_eq!(text, plain.text(), "{path} {coding}");
        }
        for coding in ["identity", "gzip;q=0", "None"] {
            let answer = asking(coding).await.expect_status(200);
            assert_eq!(answer.header("content-encoding"), None, "{path} {coding}");
            assert_eq!(answer.text(), plain.text(), "{path} {coding}");
        }
    }
}

#[tokio::test]
async fn the_quota_is_told_on_every_answer() {
    let bag = Jumpbag::options()
        .set("library_calls_per_minute", 3)
        .set("library_calls_per_hour", 1000)
        .start()
        .await;
    let client = bag.client().await;
    for left in [2, 1, 0] {
        let answer = client.get("/api/libraryfiles").await.expect_status(200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"minute\";q=3;w=60, \"hour\";q=1000;w=3600"));
        let limit = answer.header("ratelimit").expect("a RateLimit header");
        assert!(limit.starts_with(&format!("\"minute\";r={left};t=")), "{limit}");
    }
    let refused = client.get("/api/libraryfiles").await;
    assert_eq!((refused.status, refused.error_code().as_str()), (429, "TooManyRequests"));
    let seconds: u64 = refused.header("retry-after").expect("Retry-After").parse().expect("whole seconds");
    assert!((1..=61).contains(&seconds), "{seconds}");
    assert!(refused.header("ratelimit").is_some_and(|limit| limit.starts_with("\"minute\";r=0;t=")));
    // What is open to all has no quota.
    assert_eq!(client.get("/api").await.expect_status(200).header("ratelimit"), None);
}

#[tokio::test]
async fn the_service_says_what_it_holds() {
    let bag = Jumpbag::start().await;
    insta::assert_snapshot!(bag.anonymous().get("/api").await.snapshot(), @r#"
    200
    cache-control: no-cache
    content-type: application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8
    odata-version: 4.0
    request-id: [id-1]
    vary: accept-encoding

    {
      "@odata.context": "[host]/api/$metadata",
      "value": [
        {
          "kind": "EntitySet",
          "name": "LibraryFiles",
          "url": "LibraryFiles"
        }
      ]
    }
    "#);
    let entity = bag.upload("a.ps1", "x").await.expect_status(200).json();
    let metadata = bag.anonymous().get("/api/$metadata").await.expect_status(200);
    assert_eq!(metadata.header("content-type"), Some("application/xml"));
    assert_eq!(metadata.header("odata-version"), Some("4.0"));
    let told = python("metadata.py").env("BASE_URL", bag.url()).run().await.json();
    assert_eq!(told["schema"], "microsoft.windowsDefenderATP.api");
    assert_eq!(
        told["sets"],
        serde_json::json!({ "LibraryFiles": "microsoft.windowsDefenderATP.api.LibraryFile" })
    );
    assert_eq!(told["types"]["LibraryFile"]["key"], serde_json::json!(["fileName"]));
    let described = told["types"]["LibraryFile"]["properties"].as_object().expect("properties");
    let served = entity.as_object().expect("an entity");
    let served: HashSet<&String> = served.keys().filter(|name| !name.starts_with('@')).collect();
    assert_eq!(described.keys().collect::<HashSet<_>>(), served);
    for (name, property) in described {
        let (kind, nullable) = (property["type"].as_str(), property["nullable"] == "true");
        let fits = match &entity[name] {
            Value::Bool(_) => kind == Some("Edm.Boolean"),
            Value::Number(_) => kind == Some("Edm.Int64"),
            Value::String(_) if name.ends_with("Time") => kind == Some("Edm.DateTimeOffset"),
            Value::String(_) => kind == Some("Edm.String"),
            Value::Array(_) => kind == Some("Collection(Edm.String)"),
            _ => kind == Some("Edm.String") && nullable,
        };
        assert!(fits, "{name}: {property} describes {}", entity[name]);
    }
}

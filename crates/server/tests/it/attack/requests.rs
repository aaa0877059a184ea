//! Hosts, targets, names and forms that no honest client sends.

use serde_json::json;

use super::{assert_harmless, authorized, one, say};
use crate::support::postgres::postgres_database;
use crate::support::server::{Jumpbag, Options};

/// A server on either database, without limits.
async fn on_both() -> Vec<(Jumpbag, Option<crate::support::postgres::Database>)> {
    let options = || -> Options { Jumpbag::options().set("rate_limits", false) };
    let database = postgres_database().await;
    let postgres = options().set("database_url", &database.url).start().await;
    vec![(options().start().await, None), (postgres, Some(database))]
}

#[tokio::test]
async fn only_what_can_be_a_host_comes_back_in_an_answer() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let token = authorized(&bag).await;
    let at = |host: &str| format!("GET /api/libraryfiles HTTP/1.1\r\n{host}{token}Connection: close\r\n\r\n");
    for host in
        ["", "a/../b", "a\"b", "a@b", "a b", "a\tb", "<script>", "a,b", "ä", "%0d%0aX: y", &"a".repeat(300)]
    {
        let answer = one(&bag, at(&format!("Host: {host}\r\n"))).await;
        assert_eq!(answer.status, 200, "{host}");
        // Nameless, the server is called as it was told to listen: on a port of the system's choice.
        assert_eq!(answer.json()["@odata.context"], "http://127.0.0.1:0/api/$metadata#LibraryFiles");
    }
    let forwarded = "Host: bag.example\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n\
                     Forwarded: host=evil.example\r\nX-Forwarded-For: 192.0.2.1\r\n";
    let answer = one(&bag, at(forwarded)).await;
    assert_eq!(answer.json()["@odata.context"], "http://bag.example/api/$metadata#LibraryFiles");
    assert_eq!(answer.header("strict-transport-security"), None);
    assert!(!bag.logs().contains("192.0.2.1"));
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_only_what_can_be() {
    let bag = Jumpbag::options().config("trusted_proxies = [\"127.0.0.1\"]\n").start().await;
    let token = authorized(&bag).await;
    for (forwarded, context) in [
        ("X-Forwarded-Host: good.example\r\nX-Forwarded-Proto: https\r\n", "https://good.example"),
        (
            "X-Forwarded-Host: evil.example, good.example\r\nX-Forwarded-Proto: http, https\r\n",
            "https://good.example",
        ),
        ("X-Forwarded-Host: evil.example\r\nX-Forwarded-Host: good.example\r\n", "http://good.example"),
        ("X-Forwarded-Proto: javascript\r\n", "http://bag.example"),
        ("X-Forwarded-For: unknown\r\n", "http://bag.example"),
    ] {
        let request = format!(
            "GET /api/libraryfiles HTTP/1.1\r\nHost: bag.example\r\n{forwarded}{token}Connection: close\r\n\r\n"
        );
        let answer = one(&bag, request).await;
        assert_eq!(
            answer.json()["@odata.context"],
            format!("{context}/api/$metadata#LibraryFiles"),
            "{forwarded}"
        );
    }
}

#[tokio::test]
async fn targets_lead_nowhere_but_to_names() {
    for (bag, _database) in on_both().await {
        let token = authorized(&bag).await;
        bag.upload("a.ps1", "1").await.expect_status(200);
        for (status, target) in [
            (404, "/api/../api/libraryfiles"),
            (404, "/api/%2e%2e/libraryfiles"),
            (404, "/api//libraryfiles"),
            (404, "//evil.example/api/libraryfiles"),
            (404, "/api/libraryfiles/.."),
            (404, "/api/libraryfiles/%2e%2e"),
            (404, "/api/libraryfiles/../../etc/passwd"),
            (404, "/api/libraryfiles/%2fetc%2fpasswd"),
            (404, "/api/libraryfiles/..%5c..%5ca.ps1"),
            (404, "/api/libraryfiles/a%2eps1%00"),
            (404, "/api/libraryfiles/%00"),
            (404, "/api/libraryfiles/%2500"),
            (404, "/api/libraryfiles/%"),
            (404, "/api/libraryfiles/%252e%252e"),
            (400, "/api/libraryfiles/%c0%ae%c0%ae"),
            (400, "/api/libraryfiles/%ff"),
            (404, "/api/libraryfiles/%3Cscript%3Ealert(1)%3C%2Fscript%3E"),
            (404, "/api/libraryfiles/a.ps1'%20or%20'1'='1"),
            (404, "/api/libraryfiles/a.ps1%0d%0aX:%20y"),
            (404, "/%00/oauth2/token/x"),
            (404, "/catalog.db"),
            (404, "/metrics"),
            (404, "/healthz"),
            (404, "*"),
            (200, "http://evil.example/api/libraryfiles"),
            (200, "/api/libraryfiles/a%2eps1"),
        ] {
            for method in ["GET", "DELETE"] {
                if status == 200 && method == "DELETE" {
                    continue;
                }
                let head = format!(
                    "{method} {target} HTTP/1.1\r\nHost: bag.example\r\n{token}Connection: close\r\n\r\n"
                );
                let answer = one(&bag, head).await;
                assert_eq!(answer.status, status, "{method} {target}: {}", answer.text());
                assert_harmless(&answer, target);
            }
        }
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "a".repeat(60_000));
        assert_eq!(one(&bag, long).await.status, 404);
        for method in ["TRACE", "CONNECT", "OPTIONS", "PATCH", "PUT", "FOO"] {
            let head =
                format!("{method} /api/libraryfiles HTTP/1.1\r\nHost: a\r\n{token}Connection: close\r\n\r\n");
            let answer = one(&bag, head).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("POST,GET,HEAD")), "{method}");
        }
        assert_eq!(bag.names().await, ["a.ps1"]);
    }
}

#[tokio::test]
async fn text_from_outside_never_becomes_sql() {
    for (bag, _database) in on_both().await {
        let caller = bag.client().await;
        let names = [
            "a'); drop table files; --.ps1",
            "a' or '1'='1",
            "$1 ?1 @b",
            "%_[a]",
            "\"; delete from versions; --",
            "x'||(select private_key from signing_keys)||'",
        ];
        for name in names {
            let upload = caller.upload(name, "1").description(name).field("ParametersDescription", name);
            // A quote in a file name travels as the client library writes it.
            let stored =
                upload.await.expect_status(200).json()["fileName"].as_str().expect("a name").to_owned();
            let quoted = stored.replace('\'', "''");
            for filter in [
                format!("fileName eq '{quoted}'"),
                format!(
                    "contains(description,'{}') and startswith(fileName,'{quoted}')",
                    name.replace('\'', "''")
                ),
            ] {
                let query = [("$filter", filter.as_str())];
                let found = caller.get("/api/libraryfiles").with(|request| request.query(&query)).await;
                let found = found.expect_status(200).json();
                assert_eq!(found["value"].as_array().map(Vec::len), Some(1), "{filter}");
                assert_eq!(found["value"][0]["fileName"], stored);
            }
        }
        for query in [
            ("$filter", "fileName eq 'a' or 1=1 --"),
            ("$filter", "fileName eq 'a'; drop table files"),
            ("$filter", "fileName eq ''' or ''1''=''1'"),
            ("$filter", "v.name eq 'a'"),
            ("$filter", "fileName eq 'a\0b'"),
            ("$orderby", "fileName; drop table files"),
            ("$orderby", "(select private_key from signing_keys)"),
            ("$select", "fileName,private_key"),
            ("$select", "*, (select 1)"),
            ("$top", "1 union select 1"),
            ("$skip", "1; drop table files"),
            ("$skiptoken", "1.o1; drop table files"),
            ("$skiptoken", "1.nJyBvciAnMSc9JzE"),
            ("$skiptoken", "1.nAA"),
            ("$skiptoken", "99999.o0"),
        ] {
            let answer = caller.get("/api/libraryfiles").with(|request| request.query(&[query])).await;
            assert!([200, 400].contains(&answer.status), "{query:?}: {}", answer.text());
            if answer.status == 200 {
                // Read as a value: nothing is called like that, or comes after it.
                let found = answer.json()["value"].as_array().map(Vec::len);
                assert!(
                    found.is_some_and(|found| found < names.len()) || query.0 == "$skiptoken",
                    "{query:?}"
                );
            }
        }
        assert_eq!(bag.names().await.len(), names.len());
        for secret in ["a\0b", "' or '1'='1"] {
            for field in ["client_id", "client_secret"] {
                let mut form = vec![
                    ("grant_type", "client_credentials"),
                    ("scope", "https://api.security.microsoft.com/.default"),
                ];
                form.extend(
                    ["client_id", "client_secret"]
                        .map(|name| (name, if name == field { secret } else { "x" })),
                );
                let path =
                    format!("/{}/oauth2/v2.0/token", bag.register("any", &["Library.Manage"]).await.tenant);
                let refused = bag.anonymous().post(&path).with(|request| request.form(&form)).await;
                assert_eq!(refused.expect_status(400).json()["error_codes"], json!([700016]));
            }
        }
        let (status, stdout, stderr) = bag.command(&["check"]).await;
        assert!(status.success(), "{stdout}\n{stderr}");
    }
}

/// Requests put together by chance from what breaks parsers. The chance is the same in every run.
#[tokio::test]
async fn no_mixture_of_bad_parts_is_answered_with_a_fault() {
    for (bag, _database) in on_both().await {
        let token = authorized(&bag).await;
        let mut state: u64 = 0x2545_f491_4f6c_dd1d;
        let mut pick = move |from: &[&'static str]| -> &'static str {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            from[(state >> 20) as usize % from.len()]
        };
        let bits = [
            "%00", "%ff", "'", "''", "\"", "(", ")", "$", "%24", ",", " ", "+", "é", "%c3%28", "null", "eq",
            "\\", "..", "/", "?", "&", "=",
        ];
        for _ in 0..400 {
            let path = pick(&[
                "/api/libraryfiles",
                "/api/libraryfiles/",
                "/api",
                "/api/$metadata",
                "/x/oauth2/token",
                "/x/discovery/keys",
                "/",
            ]);
            let option = pick(&[
                "$filter=fileName eq ",
                "$orderby=",
                "$top=",
                "$skip=",
                "$skiptoken=1.n",
                "$select=",
                "x",
                "$count=",
            ]);
            let tail: String = (0..6).map(|_| pick(&bits)).collect();
            let target = format!("{path}{}{option}{tail}", pick(&["?", "", "/", "?a&"]))
                .replace(' ', pick(&["%20", "+"]));
            let kind = pick(&[
                "multipart/form-data; boundary=b",
                "multipart/form-data; boundary=\"",
                "application/json",
                "multipart/form-data",
                "",
            ]);
            let body = pick(&[
                "--b\r\n\r\n\r\n--b--",
                "--b--\r\n",
                "{\"a\":",
                "--b\r\nContent-Disposition: form-data; name=file; filename*=utf-8''%00\r\n\r\nx\r\n--b--\r\n",
                "",
            ]);
            let (method, length) = (pick(&["GET", "POST", "DELETE", "HEAD", "PUT"]), body.len());
            let request = format!(
                "{method} {target} HTTP/1.1\r\nHost: {}\r\n{token}Content-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}",
                pick(&["a", "", "'", "[::1]:1"])
            );
            let (answers, _) = say(&bag, &request).await;
            assert!(answers.len() <= 1, "{request}");
            for answer in &answers {
                assert!(answer.status < 500, "{request}\n\n{}", answer.text());
            }
        }
        assert!(!bag.logs().contains("panicked") && !bag.logs().contains("ERROR"), "{}", bag.logs());
        assert!(bag.names().await.is_empty());
    }
}

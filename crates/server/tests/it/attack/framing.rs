//! Requests inside requests, and heads that are too large.

use super::{assert_harmless, authorized, one, say};
use crate::support::raw::Ended;
use crate::support::server::Jumpbag;

#[tokio::test]
async fn a_request_hidden_in_another_is_never_answered() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let token = authorized(&bag).await;
    bag.upload("a.ps1", "1").await.expect_status(200);
    let hidden = format!("DELETE /api/libraryfiles/a.ps1 HTTP/1.1\r\nHost: a\r\n{token}\r\n");
    for (framing, body) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
        ("Content-Length: 5, 6\r\n", "hello"),
        ("Content-Length: +5\r\n", "hello"),
        ("Content-Length: 0x5\r\n", "hello"),
        ("Content-Length: 5 5\r\n", "hello"),
        ("Content-Length: -1\r\n", ""),
        ("Content-Length: 18446744073709551616\r\n", ""),
        ("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"),
        (" Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("X: y\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("X: \0\r\n", ""),
        ("X: y\rContent-Length: 5\r\n", ""),
        ("Transfer-Encoding: chunked\r\n", "0\n\n"),
        ("Transfer-Encoding: chunked\r\n", "2;\nxx\r\nab\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "-1\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "ffffffffffffffff1\r\n"),
        ("Transfer-Encoding: chunked\r\n", "0x0\r\n\r\n"),
    ] {
        let head = format!("POST /api/libraryfiles HTTP/1.1\r\nHost: a\r\n{token}{framing}\r\n");
        let (answers, ended) = say(&bag, format!("{head}{body}{hidden}")).await;
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert!(
            statuses.len() <= 1 && statuses.iter().all(|status| *status == 400),
            "{framing:?}: {statuses:?}"
        );
        assert_ne!(ended, Ended::Silent, "{framing:?}");
    }
    let old = format!(
        "POST /api/libraryfiles HTTP/1.0\r\n{token}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    );
    assert!(say(&bag, old).await.0.iter().all(|answer| answer.status == 400));
    assert_eq!(bag.names().await, ["a.ps1"]);
}

#[tokio::test]
async fn header_fields_beyond_the_limit_are_answered_at_once() {
    let bag = Jumpbag::start().await;
    for (fields, has_envelope) in [
        (format!("X: {}\r\n", "y".repeat(40_000)), true),
        ("X: yyyyyyyy\r\n".repeat(5_000), false),
        (format!("X: {}\r\n", "y".repeat(200_000)), false),
    ] {
        for path in ["/api", "/api/libraryfiles", "/x"] {
            let answer =
                one(&bag, format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n"))
                    .await;
            assert_eq!(answer.status, 431);
            // Beyond what is even read, the HTTP library answers by itself and without a body.
            assert_eq!(answer.body.is_empty(), !has_envelope);
            assert_harmless(&answer, path);
        }
    }
    let post = format!(
        "POST /api/libraryfiles HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\nX: {}\r\n\r\nabc",
        "y".repeat(40_000)
    );
    assert_eq!(one(&bag, post).await.json()["error"]["code"], "BadRequest");
}

//! Query options that mean nothing, and headers that are too much.

use super::{Ground, assert_refused};
use crate::support::SOON;
use crate::support::raw::Raw;

const PROPERTIES: &str = "`LibraryFiles` has fileName, sha256, description, creationTime, lastUpdatedTime, createdBy, \
                          hasParameters, parametersDescription, id, size, version, tags, platforms, \
                          category, instructions, legalHold";

#[tokio::test]
async fn options_that_mean_nothing() {
    let ground = Ground::start().await;
    let unknown = format!(
        "`$filter`, position 1: unknown property `nope`; {PROPERTIES}; text is written in single quotes"
    );
    let unordered = format!("`$orderby`: unknown property `nope`; {PROPERTIES}");
    let unselected = format!("`$select`: unknown property `nope`; {PROPERTIES}");
    for (query, message) in [
        (
            "$expand=versions",
            "unknown query option `$expand`; supported are `$filter`, `$search`, `$orderby`, `$top`, `$skip`, `$count`, \
             `$select`, `$skiptoken` and `$format`",
        ),
        ("$top=-1", "`$top` must be a whole number from 0 to 10000, not `-1`"),
        ("$top=10001", "`$top` must be a whole number from 0 to 10000, not `10001`"),
        ("$top=1.5", "`$top` must be a whole number from 0 to 10000, not `1.5`"),
        ("$top=", "`$top` must be a whole number from 0 to 10000, not ``"),
        ("$skip=-1", "`$skip` must be a whole number from 0 to 9223372036854775807, not `-1`"),
        (
            "$skip=9223372036854775808",
            "`$skip` must be a whole number from 0 to 9223372036854775807, not `9223372036854775808`",
        ),
        ("$count=yes", "`$count` must be `true` or `false`, not `yes`"),
        ("$top=1&$TOP=2", "`$top` is given twice; give it once"),
        ("$format=xml", "`$format` must be `json` or `application/json`, not `xml`"),
        ("$filter=", "`$filter` is empty; write a condition or leave the option out"),
        ("$filter=nope eq 1", &unknown),
        ("$orderby=nope", &unordered),
        ("$select=fileName,nope", &unselected),
        (
            "$orderby=fileName sideways",
            "`$orderby`: expected `asc` or `desc` after `fileName`, found `sideways`",
        ),
        (
            "$filter=size eq 'large'",
            "`$filter`, position 9: `size` is a whole number and `'large'` is not; write a whole number such as `10`",
        ),
        (
            "$filter=fileName eq 'no end",
            "`$filter`, position 13: the text that begins here has no end; close it with `'` (inside text, write `'` \
             as `''` and `&` as `%26`)",
        ),
        ("$filter=fileName eq '%00'", "`$filter`, position 14: U+0000 is not allowed; leave it out"),
        ("$filter=fileName eq '%FF'", "`$filter` is not UTF-8 once its percent-encoding is undone"),
        (
            "$skiptoken=made-up",
            "`$skiptoken` is not one that this server made: follow `@odata.nextLink` as it is",
        ),
    ] {
        refuses_query(&ground, query, message).await;
    }
    ground.unchanged("queries").await;
}

#[tokio::test]
async fn filters_that_are_too_much() {
    let ground = Ground::start().await;
    let deep = format!("$filter={}size eq 1{}", "(".repeat(33), ")".repeat(33));
    refuses_query(
        &ground,
        &deep,
        "`$filter`, position 34: nested deeper than 32 levels; flatten the condition",
    )
    .await;
    let nots = format!("$filter={}hasParameters", "not ".repeat(1000));
    refuses_query(
        &ground,
        &nots,
        "`$filter`, position 133: nested deeper than 32 levels; flatten the condition",
    )
    .await;
    let many = vec!["size eq 1"; 201].join(" or ");
    refuses_query(
        &ground,
        &format!("$filter={many}"),
        "`$filter`, position 2606: more than 200 comparisons, functions and negations; shorten the filter, for example \
         with `in`",
    )
    .await;
    let long = format!("$filter=fileName eq '{}'", "x".repeat(8 * 1024));
    refuses_query(&ground, &long, "`$filter` has 8206 bytes; at most 8192 are allowed").await;
    let huge = format!("$filter=fileName eq '{}'", "x".repeat(20_000));
    let answer = ground.client.get(&format!("/api/libraryfiles?{huge}")).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "ODataError"));
    assert!(
        answer.error_message().ends_with("bytes; at most 16384 are allowed"),
        "{}",
        answer.error_message()
    );
}

async fn refuses_query(ground: &Ground, query: &str, message: &str) {
    let answer = ground.client.get(&format!("/api/libraryfiles?{query}")).await;
    let shown: String = query.chars().take(60).collect();
    assert_refused(&shown, &answer, 400, "ODataError", message);
}

#[tokio::test]
async fn a_header_of_64_kb() {
    let ground = Ground::start().await;
    let message = "request header fields are larger than 32768 bytes in all";
    for kib in [33, 64] {
        let answer = ground
            .client
            .get("/api/libraryfiles")
            .with(|request| request.header("x-large", "x".repeat(kib * 1024)))
            .await;
        let case = format!("{kib} KB");
        ground.refuses(&case, answer, 431, "BadRequest", message).await;
    }
}

/// Beyond any bound the connection ends with a status, and the server goes on.
#[tokio::test]
async fn a_request_without_an_end_of_its_headers() {
    let ground = Ground::start().await;
    let mut raw = Raw::connect(&ground.bag.url()).await;
    raw.send("GET /api/libraryfiles HTTP/1.1\r\n").await.expect("an open connection");
    // The server may hang up while this is still being sent.
    let line = format!("x-more: {}\r\n", "x".repeat(8000));
    for _ in 0..100 {
        if raw.send(&line).await.is_err() {
            break;
        }
    }
    if let Ok(response) = raw.response(SOON).await {
        assert_eq!(response.status, 431);
    }
    ground.unchanged("endless headers").await;
}

//! Files at, just over and far over the limit.

use bytes::Bytes;

use super::{Ground, LIMIT, assert_refused, post};
use crate::support::client::{Answer, Client};
use crate::support::form::Form;

#[tokio::test]
async fn one_byte_over_the_limit() {
    let ground = Ground::start().await;
    let message = format!("Request body is incorrect: the file is larger than the limit of {LIMIT} bytes");
    let over = Form::new().file("new.ps1", vec![b'n'; LIMIT + 1]).end();
    for (case, answer) in [
        ("with a length", ground.post(Some(Form::CONTENT_TYPE), over.clone()).await),
        ("chunked", post_chunked(&ground.client, over).await),
    ] {
        ground.refuses(case, answer, 400, "InvalidRequestBody", &message).await;
    }
    // Exactly the limit is allowed, either way.
    let at = |name| Form::new().file(name, vec![b'n'; LIMIT]).end();
    let one = ground.post(Some(Form::CONTENT_TYPE), at("at-the-limit.bin")).await.expect_status(200);
    assert_eq!(one.json()["size"], LIMIT);
    post_chunked(&ground.client, at("at-the-limit-too.bin")).await.expect_status(200);
    // The limit is the file's: fields beside it do not count.
    let beside =
        Form::new().field("Description", "d".repeat(4_000)).file("beside.bin", vec![b'n'; LIMIT]).end();
    post(&ground.client, Some(Form::CONTENT_TYPE), beside).await.expect_status(200);
}

/// Without a length: in pieces of 64 KB.
async fn post_chunked(client: &Client, body: Vec<u8>) -> Answer {
    let pieces: Vec<_> = Bytes::from(body)
        .chunks(64 * 1024)
        .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
        .collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    client
        .post("/api/libraryfiles")
        .with(|request| request.header("content-type", Form::CONTENT_TYPE).body(body))
        .await
}

/// A file over the limit is refused while most of it is still to come; the answer arrives all the same.
#[tokio::test]
async fn a_file_far_over_the_limit_is_refused_while_it_is_sent() {
    let ground = Ground::start().await;
    let body = Form::new().file("new.ps1", vec![b'n'; 20 * 1024 * 1024]).end();
    let answer = ground.post(Some(Form::CONTENT_TYPE), body).await;
    let message = "Request body is incorrect: the file is larger than the limit of 400000 bytes";
    assert_refused("far over", &answer, 400, "InvalidRequestBody", message);
    ground.unchanged("far over").await;
}

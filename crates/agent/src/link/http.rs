//! One request over HTTP/1.1: what enrolling takes, and no more.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Stream;
use crate::error::{Context, Error, Result};

/// Bytes of an answer that are read at most.
const MAX_ANSWER: u64 = 64 * 1024;

/// Posts JSON and reads the whole answer: its status and its body.
///
/// # Errors
/// When the server goes away, or does not speak HTTP.
pub async fn post(
    mut stream: Stream,
    authority: &str,
    path: &str,
    body: &[u8],
    agent: &str,
) -> Result<(u16, Vec<u8>)> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {agent}\r\nContent-Type: application/json\r\n\
         Accept: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let lost = || format!("`{authority}` went away");
    stream.write_all(head.as_bytes()).await.context(lost)?;
    stream.write_all(body).await.context(lost)?;
    stream.flush().await.context(lost)?;
    let mut answer = Vec::new();
    let mut bounded = stream.take(MAX_ANSWER);
    loop {
        if let Some(whole) = whole(&answer, false)? {
            return Ok(whole);
        }
        if bounded.read_buf(&mut answer).await.context(lost)? == 0 {
            let cut = || Error::new(format!("`{authority}` did not finish its answer"));
            return whole(&answer, true)?.ok_or_else(cut);
        }
    }
}

/// Status and body, when all of it is there. Without a length it is when the stream has `ended`.
fn whole(answer: &[u8], ended: bool) -> Result<Option<(u16, Vec<u8>)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(answer).context(|| "the answer is not HTTP".into())?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let body = &answer[length..];
    let status = response.code.unwrap_or(0);
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
    };
    let body = if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        unchunk(body)?
    } else if let Some(length) = header("content-length").and_then(|value| value.parse::<usize>().ok()) {
        body.get(..length).map(<[u8]>::to_vec)
    } else {
        ended.then(|| body.to_vec())
    };
    Ok(body.map(|body| (status, body)))
}

fn unchunk(mut body: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut plain = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(body);
        let size = size.map_err(|_| Error::new("the answer's chunks are not those of HTTP"))?;
        let httparse::Status::Complete((head, size)) = size else { return Ok(None) };
        if size == 0 {
            return Ok(Some(plain));
        }
        let Some(end) = usize::try_from(size).ok().and_then(|size| head.checked_add(size)) else {
            return Ok(None);
        };
        let Some(chunk) = body.get(head..end) else { return Ok(None) };
        plain.extend_from_slice(chunk);
        let Some(rest) = body.get(end + 2..) else { return Ok(None) };
        body = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn an_answer_is_whole_when_its_head_says_so() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd";
        let chunked = b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        for (answer, status) in [(&plain[..], 200), (&chunked[..], 403)] {
            assert_eq!(whole(answer, false).unwrap(), Some((status, b"abcd".to_vec())));
        }
        for end in 0..plain.len() {
            assert_eq!(whole(&plain[..end], false).unwrap(), None);
        }
        let open = b"HTTP/1.1 200 OK\r\n\r\nabcd";
        assert_eq!(whole(open, false).unwrap(), None);
        assert_eq!(whole(open, true).unwrap(), Some((200, b"abcd".to_vec())));
        assert!(whole(b"SSH-2.0-OpenSSH\r\n\r\n", false).is_err());
    }
}

//! What commands brought: fetched by the link that the server gives, whole and, where it can be checked, unchanged.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, Response};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::live::Stream;
use super::machines::ACTIONS;
use super::{Client, refusal, segment};
use crate::failure::Failure;
use crate::transport;

/// What a script said.
#[derive(Debug, Clone, Deserialize)]
pub struct ScriptResult {
    #[serde(rename = "script_output", alias = "output", default)]
    pub output: String,
    #[serde(rename = "script_errors", alias = "errors", default)]
    pub errors: String,
    /// As it was sent.
    #[serde(skip)]
    pub raw: Vec<u8>,
}

/// How a file came.
pub struct Arrived {
    /// What the server would have it saved as, in the words of HTTP.
    pub disposition: String,
}

/// Attempts of a download.
const ATTEMPTS: u32 = 5;
/// What a script says comes in one piece of JSON from the original; jumpbag tells it byte by byte as well.
const LARGEST: u64 = 128 << 20;

impl Client {
    /// # Errors
    /// When the server refuses, or cannot be reached; 404 when there is none (yet).
    pub async fn script_result(&self, action: &str, index: u32) -> Result<ScriptResult, Failure> {
        let failed = |e: std::io::Error| Failure::Here(format!("cannot keep what a script said: {e}"));
        let mut file = tempfile::tempfile().map_err(failed)?;
        self.download(action, index, &mut file).await?;
        let mut raw = Vec::new();
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        file.take(LARGEST + 1).read_to_end(&mut raw).map_err(failed)?;
        if raw.starts_with(&[0x1f, 0x8b]) {
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(&raw[..])
                .take(LARGEST + 1)
                .read_to_end(&mut plain)
                .map_err(failed)?;
            raw = plain;
        }
        if raw.len() as u64 > LARGEST {
            return Err(Failure::Here(format!(
                "what the script said has more than {LARGEST} bytes: `--output FILE` brings it from jumpbag byte by byte"
            )));
        }
        let json = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&raw);
        let result: ScriptResult = serde_json::from_slice(json).map_err(|e| {
            Failure::Here(format!("the server told what a script said in an unknown way: {e}"))
        })?;
        Ok(ScriptResult { raw, ..result })
    }

    /// All that a script wrote to one of its streams, byte by byte, into a file.
    ///
    /// # Errors
    /// Those of [`Client::script_result`], and when the file cannot be written.
    pub async fn output(
        &self,
        action: &str,
        index: u32,
        stream: Stream,
        file: &mut File,
    ) -> Result<(), Failure> {
        let name = if stream == Stream::Out { "stdout" } else { "stderr" };
        let path = format!("{ACTIONS}/{}/commands/{index}/{name}", segment(action));
        let (mut offset, mut attempts) = (0, 1);
        loop {
            let answer = self.call(Method::GET, &format!("{path}?offset={offset}"), |request| request).await;
            let answer = match answer {
                Ok(answer) => answer,
                // The original: bytes that are not UTF-8 are lost there.
                Err(failure) if (failure.is(404) || failure.is(405)) && offset == 0 => {
                    let result = self.script_result(action, index).await?;
                    let text = if stream == Stream::Out { result.output } else { result.errors };
                    return file.write_all(text.as_bytes()).map_err(crate::failure::output_or_disk);
                }
                Err(failure) => return Err(failure),
            };
            match pour(answer, file, &mut offset, None).await? {
                None => return Ok(()),
                Some(failure) if attempts == ATTEMPTS => return Err(failure),
                Some(_) => self.breathe(attempts).await,
            }
            attempts += 1;
        }
    }

    /// What a command brought, into a file that is empty.
    ///
    /// # Errors
    /// When the server refuses or breaks off again and again, when what came is not what it says, or the file cannot be
    /// written.
    pub async fn download(&self, action: &str, index: u32, file: &mut File) -> Result<Arrived, Failure> {
        let failed = crate::failure::output_or_disk;
        let mut attempts = 1;
        loop {
            file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(failed)?;
            let failure = match self.fetch(action, index, file).await? {
                Ok(arrived) => return Ok(arrived),
                Err(failure) => failure,
            };
            if attempts == ATTEMPTS {
                return Err(failure);
            }
            self.breathe(attempts).await;
            attempts += 1;
        }
    }

    /// One attempt; the inner failure is one after which another link may do better.
    async fn fetch(
        &self,
        action: &str,
        index: u32,
        file: &mut File,
    ) -> Result<Result<Arrived, Failure>, Failure> {
        #[derive(Deserialize)]
        struct Link {
            value: String,
        }
        let id = segment(action);
        let path = format!("{ACTIONS}/{id}/GetLiveResponseResultDownloadLink(index={index})");
        let link: Link = self.get(&path).await?;
        // Without the token: the link is all that it takes, and may lead to another host.
        let answer = match transport::answer(self.http.get(&link.value).send(), || 0).await {
            None => return Ok(Err(transport::silent(&link.value))),
            Some(Ok(answer)) if answer.status().is_success() => answer,
            Some(Ok(answer)) => return Ok(Err(refusal(answer).await)),
            Some(Err(e)) => return Ok(Err(transport::unreachable(&link.value, &e.without_url()))),
        };
        let header =
            |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let disposition = header("content-disposition").unwrap_or_default();
        let expected = header("repr-digest").as_deref().and_then(digest);
        let mut digest = Sha256::new();
        if let Some(failure) = pour(answer, file, &mut 0, Some(&mut digest)).await? {
            return Ok(Err(failure));
        }
        let found = digest.finalize();
        if expected.as_deref().is_some_and(|expected| expected != &found[..]) {
            let text = format!(
                "what came has the SHA-256 {}, which is not what the server says",
                jumpbag_wire::hex::hex(&found)
            );
            return Ok(Err(Failure::Here(text)));
        }
        Ok(Ok(Arrived { disposition }))
    }
}

/// The SHA-256 of a `Repr-Digest`.
fn digest(header: &str) -> Option<Vec<u8>> {
    let text = header.split(',').find_map(|part| part.trim().strip_prefix("sha-256=:"))?;
    STANDARD.decode(text.strip_suffix(':')?).ok()
}

/// Writes a body to a file; the failure within is a connection that broke off, `offset` how far it came.
async fn pour(
    mut answer: Response,
    file: &mut File,
    offset: &mut u64,
    mut digest: Option<&mut Sha256>,
) -> Result<Option<Failure>, Failure> {
    loop {
        let piece = match transport::piece(&mut answer).await {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok(None),
            Err(failure) => return Ok(Some(failure)),
        };
        file.write_all(&piece).map_err(crate::failure::output_or_disk)?;
        if let Some(digest) = digest.as_deref_mut() {
            digest.update(&piece);
        }
        *offset += piece.len() as u64;
    }
}

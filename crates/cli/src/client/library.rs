//! The library's calls: list, upload, download, change, delete, restore.

use std::io::SeekFrom;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use jumpbag_wire::patch::FilePatch;
use jumpbag_wire::time::Timestamp;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method, Response};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

pub use super::name::same_name;
use super::{Again, Client, Fields, Outcome, read, segment};
use crate::failure::Failure;
use crate::progress::FileBar;

/// A library file as any server tells it: what the original does not have is optional.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub file_name: String,
    pub sha256: String,
    pub description: Option<String>,
    pub last_updated_time: Option<Timestamp>,
    pub created_by: Option<String>,
    #[serde(default)]
    pub has_parameters: bool,
    pub parameters_description: Option<String>,
    pub id: Option<String>,
    pub size: Option<u64>,
    /// jumpbag numbers versions, the original keeps one.
    pub version: Option<u64>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub platforms: Vec<String>,
    pub category: Option<String>,
    pub instructions: Option<String>,
    #[serde(default)]
    pub legal_hold: bool,
}

impl Entry {
    /// Whether the server that told of it keeps versions: jumpbag does, the original does not.
    pub fn is_versioned(&self) -> bool {
        self.version.is_some()
    }

    /// The entity tag of the file as it is: id and version. None where the server has no such thing.
    pub fn tag(&self) -> Option<String> {
        Some(format!("\"{}-{}\"", self.id.as_ref()?, self.version?))
    }
}

/// The bytes of an upload.
#[derive(Debug, Clone)]
pub enum Source {
    File(PathBuf),
    /// A piece of a file that begins so many bytes into it.
    Piece(PathBuf, u64),
    Memory(Bytes),
}

/// What is uploaded, under which name, and what is expected of the library.
pub struct Sent<'a> {
    pub name: &'a str,
    pub source: &'a Source,
    pub sha256: &'a str,
    pub size: u64,
    pub fields: &'a Fields,
    pub override_existing: bool,
    /// An entity tag or digest in quotes that the file must have now.
    pub if_match: Option<&'a str>,
}

/// Attempts of an upload whose answer was lost.
const ATTEMPTS: u32 = 5;
/// Bytes read at a time.
const PIECE: usize = 128 * 1024;

pub const FILES: &str = "/api/libraryfiles";

impl Client {
    /// The whole library.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached.
    pub async fn files(&self) -> Result<Vec<Entry>, Failure> {
        let raw = self.all(FILES).await?;
        raw.iter().map(|entry| parsed(entry.get())).collect()
    }

    /// One file. The original is asked for all of them.
    ///
    /// # Errors
    /// Those of [`Client::files`]; 404 when there is none of this name.
    pub async fn file(&self, name: &str) -> Result<Entry, Failure> {
        match self.get(&path(name)).await {
            Err(Failure::Refused(refusal)) if refusal.status == 404 || refusal.status == 405 => {
                let found = self.files().await?.into_iter().find(|entry| same_name(&entry.file_name, name));
                found.ok_or_else(|| {
                    // The original's own words for a path it does not have would only mislead.
                    let message = format!("Library file {name} was not found");
                    let code = "ResourceNotFound".into();
                    Failure::Refused(crate::failure::Refusal { status: 404, code, message, ..refusal })
                })
            }
            other => other,
        }
    }

    /// Uploads a file. The answer may be lost on the way: then the library is asked whether the bytes are there, and
    /// they are sent again where they are not.
    ///
    /// # Errors
    /// When the server refuses or stays away, or the file is not what it was when it was planned.
    pub async fn upload(
        &self,
        sent: &Sent<'_>,
        bar: &FileBar,
    ) -> Result<Box<serde_json::value::RawValue>, Failure> {
        // jumpbag answers a second upload under the same key as it did the first; the original knows no such thing.
        let key = uuid::Uuid::new_v4().to_string();
        let mut attempts = 0;
        loop {
            bar.again();
            let outcome = self
                .attempt(Method::POST, FILES, Again::Ask, async |request| {
                    let mut request =
                        request.header("Idempotency-Key", &key).multipart(form(sent, bar).await?);
                    if let Some(tag) = sent.if_match {
                        request = request.header("If-Match", tag);
                    }
                    Ok(request)
                })
                .await?;
            match outcome {
                Outcome::Answered(answer) => return self.stored(sent, answer).await,
                Outcome::Unknown(failure) => {
                    attempts += 1;
                    if attempts == ATTEMPTS {
                        return Err(failure);
                    }
                    self.breathe(attempts).await;
                    if let Some(there) = self.is_there(sent).await? {
                        return Ok(there);
                    }
                }
            }
        }
    }

    /// The file as the library has it, if it has these bytes under this name.
    async fn is_there(&self, sent: &Sent<'_>) -> Result<Option<Box<serde_json::value::RawValue>>, Failure> {
        for raw in self.all(FILES).await? {
            let entry: Entry = parsed(raw.get())?;
            // Bytes alone do not tell whether a change of what is said about them has arrived.
            if same_name(&entry.file_name, sent.name)
                && entry.sha256 == sent.sha256
                && sent.fields.differing(&entry).is_empty()
            {
                return Ok(Some(raw));
            }
        }
        Ok(None)
    }

    async fn stored(
        &self,
        sent: &Sent<'_>,
        answer: Response,
    ) -> Result<Box<serde_json::value::RawValue>, Failure> {
        if let Some(warning) = answer.headers().get("jumpbag-warning").and_then(|value| value.to_str().ok()) {
            self.progress.warn(warning);
        }
        let raw: Box<serde_json::value::RawValue> = read(answer).await?;
        let entry: Entry = parsed(raw.get())?;
        if entry.sha256.eq_ignore_ascii_case(sent.sha256) {
            return Ok(raw);
        }
        Err(Failure::Here(format!(
            "`{}`: the library says that it has {} and not {}, which was sent",
            sent.name, entry.sha256, sent.sha256
        )))
    }

    /// Changes what is said about a file.
    ///
    /// # Errors
    /// When the server refuses; 404 or 405 where it is the original, which cannot.
    pub async fn patch(
        &self,
        name: &str,
        patch: &FilePatch,
        if_match: Option<&str>,
    ) -> Result<Response, Failure> {
        let body =
            serde_json::to_vec(patch).map_err(|e| Failure::Here(format!("cannot write a patch: {e}")))?;
        // A patch that is made twice changes nothing the second time.
        let path = path(name);
        let outcome = self.attempt(Method::PATCH, &path, Again::Safe, async |request| {
            let request = request.header("Content-Type", "application/json").body(body.clone());
            Ok(match if_match {
                Some(tag) => request.header("If-Match", tag),
                None => request,
            })
        });
        match outcome.await? {
            Outcome::Answered(answer) => Ok(answer),
            Outcome::Unknown(failure) => Err(failure),
        }
    }

    /// # Errors
    /// When the server refuses; 404 when there is no such file.
    pub async fn delete(&self, name: &str, if_match: Option<&str>) -> Result<(), Failure> {
        let attempts = std::cell::Cell::new(0);
        let answer = self
            .call(Method::DELETE, &path(name), |request| {
                attempts.set(attempts.get() + 1);
                match if_match {
                    Some(tag) => request.header("If-Match", tag),
                    None => request,
                }
            })
            .await;
        match answer {
            // An attempt before this one was carried out, and its answer was lost.
            Err(failure) if failure.is(404) && attempts.get() > 1 => Ok(()),
            other => other.map(drop),
        }
    }
}

/// The path of a library file.
pub fn path(name: &str) -> String {
    format!("{FILES}/{}", segment(name))
}

pub fn parsed(json: &str) -> Result<Entry, Failure> {
    serde_json::from_str(json)
        .map_err(|e| Failure::Here(format!("the server told of a library file in an unknown way: {e}")))
}

async fn form(sent: &Sent<'_>, bar: &FileBar) -> Result<Form, Failure> {
    let fields = sent.fields;
    let list = |items: &Vec<String>| serde_json::to_string(items).unwrap_or_default();
    let texts = [
        ("Description", fields.description.clone()),
        ("ParametersDescription", fields.parameters_description.clone()),
        ("HasParameters", fields.has_parameters.map(|yes| yes.to_string())),
        ("Tags", fields.tags.as_ref().map(list)),
        ("Platforms", fields.platforms.as_ref().map(list)),
        ("Category", fields.category.clone()),
        ("Instructions", fields.instructions.clone()),
        ("OverrideIfExists", Some(sent.override_existing.to_string())),
    ];
    // Names are sent as they are, as browsers and curl do.
    let mut form = Form::new().percent_encode_noop();
    for (name, text) in texts {
        if let Some(text) = text {
            form = form.text(name, text);
        }
    }
    let part = Part::stream_with_length(body(sent, bar).await?, sent.size).file_name(sent.name.to_owned());
    Ok(form.part("file", part))
}

/// Bytes on their way. The last of them go only when size and digest are those that were planned, so that a file that
/// changes meanwhile is never stored half old and half new.
async fn body(sent: &Sent<'_>, bar: &FileBar) -> Result<Body, Failure> {
    let (path, begin) = match sent.source {
        Source::Memory(bytes) => {
            bar.moved(bytes.len() as u64);
            return Ok(Body::from(bytes.clone()));
        }
        Source::File(path) => (path, None),
        Source::Piece(path, begin) => (path, Some(*begin)),
    };
    let unreadable = |e: std::io::Error| Failure::file("read", path, &e);
    let mut file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    if let Some(begin) = begin {
        file.seek(SeekFrom::Start(begin)).await.map_err(unreadable)?;
    }
    let flow = Flow {
        file,
        whole: begin.is_none(),
        name: sent.name.to_owned(),
        digest: Sha256::new(),
        expected: sent.sha256.to_owned(),
        left: sent.size,
        bar: bar.clone(),
    };
    Ok(Body::wrap_stream(stream::try_unfold(flow, Flow::next)))
}

struct Flow {
    file: tokio::fs::File,
    /// Whether the file ends with the last byte that is sent.
    whole: bool,
    name: String,
    digest: Sha256,
    expected: String,
    left: u64,
    bar: FileBar,
}

/// Why a body was broken off: the file here, not the connection.
#[derive(Debug)]
struct Broken(Arc<str>);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// What a request failed of, if it was what it should have sent.
pub fn broken(error: &reqwest::Error) -> Option<Failure> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(Broken(why)) = error.downcast_ref::<Broken>() {
            return Some(Failure::Here(why.to_string()));
        }
        next = error.source();
    }
    None
}

impl Flow {
    async fn next(mut self) -> Result<Option<(Bytes, Flow)>, Broken> {
        if self.left == 0 {
            return Ok(None);
        }
        let wanted = PIECE.min(usize::try_from(self.left).unwrap_or(PIECE));
        let mut piece = vec![0; wanted];
        if self.file.read_exact(&mut piece).await.is_err() {
            return Err(self.changed());
        }
        self.digest.update(&piece);
        self.left -= wanted as u64;
        if self.left == 0 {
            let more = if self.whole { self.file.read(&mut [0]).await.unwrap_or(1) } else { 0 };
            let digest = std::mem::take(&mut self.digest).finalize();
            if more > 0 || crate::hex(&digest) != self.expected {
                return Err(self.changed());
            }
        }
        self.bar.moved(wanted as u64);
        Ok(Some((piece.into(), self)))
    }

    fn changed(&self) -> Broken {
        Broken(format!("`{}` changed while it was read: nothing was uploaded, try again", self.name).into())
    }
}

impl Client {
    /// The bytes of the current version or of another, as an answer still to be read.
    ///
    /// # Errors
    /// When the server refuses. The original cannot give a file back.
    pub async fn content(&self, name: &str, version: Option<u64>) -> Result<Response, Failure> {
        let path = match version {
            Some(version) => format!("{}/versions/{version}/content", path(name)),
            None => format!("{}/content", path(name)),
        };
        match self.call(Method::GET, &path, |request| request.header("Accept-Encoding", "identity")).await {
            Err(failure) if failure.is(404) || failure.is(405) => {
                Err(self.explained(name, failure, "downloads").await?)
            }
            other => other,
        }
    }

    /// Why a call on a file that exists was not understood: the server is the original, or the failure stands.
    ///
    /// # Errors
    /// When the library cannot be asked.
    pub async fn explained(&self, name: &str, failure: Failure, what: &str) -> Result<Failure, Failure> {
        let entry = self.file(name).await?;
        if entry.is_versioned() {
            return Ok(failure);
        }
        Ok(Failure::Usage(format!(
            "{} is Microsoft Defender for Endpoint, whose API has no {what}: `{name}` is in its library, and cannot be had this way",
            self.base()
        )))
    }
}

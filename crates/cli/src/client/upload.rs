//! Uploads: bytes that are checked on their way, and calls whose outcome is found out when the answer is lost.

use std::io::SeekFrom;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method, Response};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::library::{Entry, FILES, only_if};
use super::name::same_name;
use super::{Again, Client, Entity, Fields, Outcome, read};
use crate::failure::Failure;
use crate::progress::FileBar;

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

impl Client {
    /// Uploads a file. The answer may be lost on the way: then the library is asked whether the bytes are there, and
    /// they are sent again where they are not.
    ///
    /// # Errors
    /// When the server refuses or stays away, or the file is not what it was when it was planned.
    pub async fn upload(&self, sent: &Sent<'_>, bar: &FileBar) -> Result<Entity<Entry>, Failure> {
        // jumpbag answers a second upload under the same key as it did the first; the original knows no such thing.
        let key = uuid::Uuid::new_v4().to_string();
        let mut attempts = 0;
        loop {
            bar.again();
            let outcome = self
                .attempt(Method::POST, FILES, Again::Ask, async |request| {
                    let request = request.header("Idempotency-Key", &key).multipart(form(sent, bar).await?);
                    Ok(only_if(request, sent.if_match))
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
    async fn is_there(&self, sent: &Sent<'_>) -> Result<Option<Entity<Entry>>, Failure> {
        let files: Vec<Entity<Entry>> = self.entities(FILES).await?;
        // Bytes alone do not tell whether a change of what is said about them has arrived.
        let ours = |file: &Entity<Entry>| {
            same_name(&file.is.file_name, sent.name)
                && file.is.sha256 == sent.sha256
                && sent.fields.differing(&file.is).is_empty()
        };
        Ok(files.into_iter().find(ours))
    }

    async fn stored(&self, sent: &Sent<'_>, answer: Response) -> Result<Entity<Entry>, Failure> {
        if let Some(warning) = answer.headers().get("jumpbag-warning").and_then(|value| value.to_str().ok()) {
            self.progress.warn(warning);
        }
        let file: Entity<Entry> = Entity::read(read(answer).await?)?;
        if file.is.sha256.eq_ignore_ascii_case(sent.sha256) {
            return Ok(file);
        }
        Err(Failure::Here(format!(
            "`{}`: the library says that it has {} and not {}, which was sent",
            sent.name, file.is.sha256, sent.sha256
        )))
    }
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
            if more > 0 || jumpbag_wire::hex::hex(&digest) != self.expected {
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

//! Reads the form of an upload: parts in any order, names in any letter case, bytes straight into the stage.

use axum::body::Body;
use http::{HeaderMap, header};
use jumpbag_wire::patch::{Edit, FilePatch};

use super::conditional::expected;
use crate::catalog::audit::Actor;
use crate::catalog::contents::Content;
use crate::error::Error;
use crate::http::body::Stalled;
use crate::library::expect::Expect;
use crate::library::metadata::{
    MAX_DESCRIPTION, MAX_INSTRUCTIONS, Metadata, MetadataError, platforms_from_form, tags_from_form,
};
use crate::library::name::FileName;
use crate::library::{Library, Override, Retry, Upload};
use crate::multipart::{self, Limits, Multipart, MultipartError};

/// Bytes of a Boolean, generously.
const MAX_FLAG: usize = 64;
/// Bytes of the list of tags, however it is written.
const MAX_LIST: usize = 16 * 1024;
/// Bytes of an `Idempotency-Key`.
const MAX_KEY: usize = 255;

/// What the headers of an upload ask for.
pub struct Conditions {
    expect: Expect,
    retry: Option<Retry>,
}

impl Conditions {
    /// # Errors
    /// `InvalidInput` when a header is none that can be answered.
    pub fn read(headers: &HeaderMap, actor: &Actor) -> Result<Conditions, Error> {
        let mut keys = headers.get_all("idempotency-key").iter();
        let retry = keys.next().map(|key| match key.as_bytes() {
            ascii
                if (1..=MAX_KEY).contains(&ascii.len())
                    && ascii.iter().all(|b| (b' '..=b'~').contains(b)) =>
            {
                Ok(Retry { caller: actor.id.clone(), key: String::from_utf8_lossy(ascii).into_owned() })
            }
            _ => Err(Error::InvalidInput(format!(
                "`Idempotency-Key` is not 1 to {MAX_KEY} visible ASCII characters: a GUID will do"
            ))),
        });
        if keys.next().is_some() {
            return Err(Error::InvalidInput("`Idempotency-Key` is there twice: send one".into()));
        }
        Ok(Conditions { expect: expected(headers)?, retry: retry.transpose()? })
    }
}

/// The form while its parts come in.
#[derive(Default)]
struct Form {
    file: Option<(FileName, Content)>,
    metadata: FilePatch,
    replace: Option<bool>,
}

/// Reads a whole form. When it cannot be used, what was staged of it is gone.
pub async fn read(
    library: &Library,
    headers: &HeaderMap,
    body: Body,
    conditions: Conditions,
) -> Result<Upload, Error> {
    let content_type = match headers.get(header::CONTENT_TYPE) {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_| incorrect("the content type is not ASCII text"))?),
    };
    let boundary = multipart::boundary(content_type).map_err(refuse)?;
    let parts = Multipart::new(body.into_data_stream(), boundary, Limits::default());
    // As the original has it, an upload that does not say them has none of these, whatever it replaces.
    let metadata = FilePatch {
        description: Edit::Clear,
        parameters_description: Edit::Clear,
        has_parameters: Edit::Clear,
        ..FilePatch::default()
    };
    let mut form = Form { metadata, ..Form::default() };
    match fill(&mut form, library, parts).await {
        Ok(()) => match form.file {
            Some((name, content)) => Ok(Upload {
                name,
                content,
                metadata: form.metadata,
                replace: if form.replace == Some(true) { Override::Yes } else { Override::No },
                expect: conditions.expect,
                retry: conditions.retry,
            }),
            None => Err(incorrect("there is no part named `file` with the file's content")),
        },
        Err(error) => {
            if let Some((_, content)) = &form.file {
                library.discard(content).await;
            }
            Err(error)
        }
    }
}

async fn fill<S, E>(form: &mut Form, library: &Library, mut parts: Multipart<S>) -> Result<(), Error>
where
    S: futures_util::Stream<Item = Result<bytes::Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    while let Some(part) = parts.next_part().await.map_err(refuse)? {
        let metadata = &mut form.metadata;
        match part.name.to_ascii_lowercase().as_str() {
            "file" if form.file.is_some() => return Err(incorrect("there are two parts named `file`")),
            "file" => {
                let Some(name) = part.file_name else {
                    return Err(incorrect(
                        "the part named `file` has no `filename`: the name in the library",
                    ));
                };
                let name = library.name(&name)?;
                form.file = Some((name, stage(library, &mut parts).await?));
            }
            "description" => metadata.description = text(&mut parts, MAX_DESCRIPTION).await?.into(),
            "parametersdescription" => {
                metadata.parameters_description = text(&mut parts, MAX_DESCRIPTION).await?.into();
            }
            "hasparameters" => metadata.has_parameters = flag(&mut parts, "HasParameters").await?.into(),
            "tags" => {
                let names = text(&mut parts, MAX_LIST).await?.unwrap_or_default();
                metadata.tags = Edit::Set(checked(tags_from_form(&names))?);
            }
            "platforms" => {
                let names = text(&mut parts, MAX_LIST).await?.unwrap_or_default();
                metadata.platforms = Edit::Set(checked(platforms_from_form(&names))?);
            }
            "category" => {
                // Long enough for the rule on its length to be told.
                metadata.category = text(&mut parts, MAX_DESCRIPTION).await?.into();
                checked(
                    Metadata::default()
                        .apply(FilePatch { category: metadata.category.clone(), ..FilePatch::default() }),
                )?;
            }
            "instructions" => metadata.instructions = text(&mut parts, MAX_INSTRUCTIONS).await?.into(),
            "overrideifexists" => form.replace = flag(&mut parts, "OverrideIfExists").await?,
            // Clients of the original send fields of their own, `FileName` for one: they are not ours to judge.
            _ => {}
        }
    }
    Ok(())
}

fn checked<T>(value: Result<T, MetadataError>) -> Result<T, Error> {
    value.map_err(|e| Error::InvalidInput(e.to_string()))
}

async fn stage<S, E>(library: &Library, parts: &mut Multipart<S>) -> Result<Content, Error>
where
    S: futures_util::Stream<Item = Result<bytes::Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut stage = library.stage();
    loop {
        let taken = match parts.chunk().await {
            Ok(None) => return stage.finish().await,
            Ok(Some(bytes)) => stage.write(bytes).await,
            Err(error) => Err(refuse(error)),
        };
        if let Err(error) = taken {
            stage.abort().await;
            return Err(error);
        }
    }
}

/// An empty text is as good as none.
async fn text<S, E>(parts: &mut Multipart<S>, max: usize) -> Result<Option<String>, Error>
where
    S: futures_util::Stream<Item = Result<bytes::Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let text = parts.text(max).await.map_err(refuse)?;
    if text.contains('\0') {
        return Err(incorrect("a text field contains the character U+0000"));
    }
    Ok((!text.is_empty()).then_some(text))
}

async fn flag<S, E>(parts: &mut Multipart<S>, name: &str) -> Result<Option<bool>, Error>
where
    S: futures_util::Stream<Item = Result<bytes::Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let text = parts.text(MAX_FLAG).await.map_err(refuse)?;
    match text.trim().to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => {
            Err(Error::InvalidInput(format!("Invalid input {name}: `{}` is not true or false", text.trim())))
        }
    }
}

fn incorrect(what: impl std::fmt::Display) -> Error {
    Error::InvalidRequestBody(format!("Request body is incorrect: {what}"))
}

fn refuse(error: MultipartError) -> Error {
    match Stalled::behind(&error) {
        Some(stalled) => Error::Slow(stalled.to_string()),
        None => incorrect(error),
    }
}

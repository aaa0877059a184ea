//! Reads the form of an upload: parts in any order, names in any letter case, bytes straight into the stage.

use axum::body::Body;
use http::{HeaderMap, header};

use crate::catalog::files::Content;
use crate::error::Error;
use crate::http::body::Stalled;
use crate::library::name::FileName;
use crate::library::{Library, Override, Upload};
use crate::multipart::{self, Limits, Multipart, MultipartError};

/// Bytes of `Description` and `ParametersDescription`.
const MAX_TEXT: usize = 4 * 1024;
/// Bytes of a Boolean, generously.
const MAX_FLAG: usize = 64;

/// The form while its parts come in.
#[derive(Default)]
struct Form {
    file: Option<(FileName, Content)>,
    description: Option<String>,
    parameters_description: Option<String>,
    has_parameters: Option<bool>,
    replace: Option<bool>,
}

/// Reads a whole form. When it cannot be used, what was staged of it is gone.
pub async fn read(library: &Library, headers: &HeaderMap, body: Body) -> Result<Upload, Error> {
    let content_type = match headers.get(header::CONTENT_TYPE) {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_| incorrect("the content type is not ASCII text"))?),
    };
    let boundary = multipart::boundary(content_type).map_err(refuse)?;
    let parts = Multipart::new(body.into_data_stream(), boundary, Limits::default());
    let mut form = Form::default();
    match fill(&mut form, library, parts).await {
        Ok(()) => match form.file {
            Some((name, content)) => Ok(Upload {
                name,
                content,
                description: form.description,
                parameters_description: form.parameters_description,
                has_parameters: form.has_parameters,
                replace: if form.replace == Some(true) { Override::Yes } else { Override::No },
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
            "description" => form.description = text(&mut parts).await?,
            "parametersdescription" => form.parameters_description = text(&mut parts).await?,
            "hasparameters" => form.has_parameters = flag(&mut parts, "HasParameters").await?,
            "overrideifexists" => form.replace = flag(&mut parts, "OverrideIfExists").await?,
            // Clients of the original send fields of their own, `FileName` for one: they are not ours to judge.
            _ => {}
        }
    }
    Ok(())
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
async fn text<S, E>(parts: &mut Multipart<S>) -> Result<Option<String>, Error>
where
    S: futures_util::Stream<Item = Result<bytes::Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let text = parts.text(MAX_TEXT).await.map_err(refuse)?;
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
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(at) = cause {
        if let Some(stalled) = at.downcast_ref::<Stalled>() {
            return Error::Slow(stalled.to_string());
        }
        cause = at.source();
    }
    incorrect(error)
}

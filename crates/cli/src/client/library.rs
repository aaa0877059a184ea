//! The library's calls but uploads: list, download, change, delete.

use jumpbag_wire::patch::FilePatch;
use jumpbag_wire::time::Timestamp;
use reqwest::{Method, RequestBuilder, Response};
use serde::Deserialize;

pub use super::name::same_name;
use super::{Again, Client, Entity, Outcome, read, segment};
use crate::failure::Failure;

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

pub const FILES: &str = "/api/libraryfiles";
pub const DELETED: &str = "/api/deletedlibraryfiles";

impl Client {
    /// The whole library.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached.
    pub async fn files(&self) -> Result<Vec<Entry>, Failure> {
        Ok(self.entities(FILES).await?.into_iter().map(|file| file.is).collect())
    }

    /// One file. The original is asked for all of them.
    ///
    /// # Errors
    /// Those of [`Client::files`]; 404 when there is none of this name.
    pub async fn file(&self, name: &str) -> Result<Entity<Entry>, Failure> {
        match self.entity(&path(name)).await {
            Err(Failure::Refused(refusal)) if refusal.status == 404 || refusal.status == 405 => {
                let all: Vec<Entity<Entry>> = self.entities(FILES).await?;
                let found = all.into_iter().find(|file| same_name(&file.is.file_name, name));
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

    /// Changes what is said about a file; as it is then.
    ///
    /// # Errors
    /// When the server refuses; 404 or 405 where it is the original, which cannot.
    pub async fn patch(
        &self,
        name: &str,
        patch: &FilePatch,
        if_match: Option<&str>,
    ) -> Result<Entity<Entry>, Failure> {
        let body =
            serde_json::to_vec(patch).map_err(|e| Failure::Here(format!("cannot write a patch: {e}")))?;
        // A patch that is made twice changes nothing the second time.
        let path = path(name);
        let outcome = self.attempt(Method::PATCH, &path, Again::Safe, async |request| {
            let request = request.header("Content-Type", "application/json").body(body.clone());
            Ok(only_if(request, if_match))
        });
        match outcome.await? {
            Outcome::Answered(answer) => Entity::read(read(answer).await?),
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
                only_if(request, if_match)
            })
            .await;
        match answer {
            // An attempt before this one was carried out, and its answer was lost.
            Err(failure) if failure.is(404) && attempts.get() > 1 => Ok(()),
            other => other.map(drop),
        }
    }

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
        if self.file(name).await?.is.is_versioned() {
            return Ok(failure);
        }
        Ok(Failure::Usage(format!(
            "{} is Microsoft Defender for Endpoint, whose API has no {what}: `{name}` is in its library, and cannot be had this way",
            self.base()
        )))
    }
}

/// A change that is made only while the file has this entity tag, where there is one.
pub fn only_if(request: RequestBuilder, tag: Option<&str>) -> RequestBuilder {
    match tag {
        Some(tag) => request.header("If-Match", tag),
        None => request,
    }
}

/// The path of a library file.
pub fn path(name: &str) -> String {
    format!("{FILES}/{}", segment(name))
}

//! The library: upload, list and delete, and nothing else. A file has eight properties.

use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use jumpbag_wire::time::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::answer::{Refusal, collection, entity};
use super::{Call, Original, Service, empty};

/// The largest file: 20 MiB, inclusive.
const LARGEST: usize = 20 * 1024 * 1024;

const MAY: (&[&str], &[&str]) = (&["Library.Manage"], &["Library.Manage"]);

/// A file as the service keeps it. Serialized, it is what the service answers with.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredFile {
    pub file_name: String,
    pub sha256: String,
    pub description: Option<String>,
    pub creation_time: Timestamp,
    pub last_updated_time: Timestamp,
    pub created_by: String,
    pub has_parameters: bool,
    pub parameters_description: Option<String>,
    #[serde(skip)]
    pub bytes: Bytes,
}

/// The files in the order they came.
#[derive(Default)]
pub struct Library(Vec<StoredFile>);

/// What an upload says about a file.
#[derive(Default)]
struct Form {
    file: Option<(String, Bytes)>,
    description: Option<String>,
    parameters_description: Option<String>,
    has_parameters: bool,
    override_if_exists: bool,
}

impl Library {
    fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|file| file.file_name.to_lowercase() == name.to_lowercase())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Stores the file. An override keeps who made it first and when, and the letter case of its name.
    fn store(&mut self, form: Form, by: &str) -> Result<StoredFile, Refusal> {
        let (name, bytes) = form.file.ok_or_else(Refusal::body)?;
        let now = Timestamp::now();
        let mut file = StoredFile {
            file_name: name,
            sha256: Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
            description: form.description,
            creation_time: now,
            last_updated_time: now,
            created_by: by.to_owned(),
            has_parameters: form.has_parameters,
            parameters_description: form.parameters_description,
            bytes,
        };
        match self.find(&file.file_name) {
            None => self.0.push(file.clone()),
            Some(_) if !form.override_if_exists => {
                let message = format!("File {} already exists", file.file_name);
                return Err(Refusal::new(400, "BadRequest", message));
            }
            Some(at) => {
                let old = &mut self.0[at];
                file.file_name.clone_from(&old.file_name);
                file.creation_time = old.creation_time;
                file.created_by.clone_from(&old.created_by);
                *old = file.clone();
            }
        }
        Ok(file)
    }
}

impl Original {
    /// Somebody else uploads a file, or overrides one.
    pub fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> StoredFile {
        self.put_described(name, bytes, None, None)
    }

    /// The same with its descriptions; `HasParameters` goes with the second one.
    pub fn put_described(
        &self,
        name: &str,
        bytes: impl AsRef<[u8]>,
        description: Option<&str>,
        parameters: Option<&str>,
    ) -> StoredFile {
        let form = Form {
            file: Some((name.to_owned(), Bytes::copy_from_slice(bytes.as_ref()))),
            description: description.map(str::to_owned),
            parameters_description: parameters.map(str::to_owned),
            has_parameters: parameters.is_some(),
            override_if_exists: true,
        };
        self.state().library.store(form, "somebody else").expect("a file and an override")
    }

    /// Somebody else deletes a file. Panics when there is none.
    pub fn remove(&self, name: &str) {
        let library = &mut self.state().library;
        let at = library.find(name).expect("a file that can be removed");
        library.0.remove(at);
    }

    pub fn file(&self, name: &str) -> Option<StoredFile> {
        let library = &self.state().library;
        library.find(name).map(|at| library.0[at].clone())
    }

    pub fn files(&self) -> Vec<StoredFile> {
        self.state().library.0.clone()
    }
}

/// `/api/libraryfiles`: the list, whatever its query says, and the upload.
pub(super) async fn files(service: &Service, call: &Call) -> Result<Response, Refusal> {
    match call.method {
        Method::GET => {
            service.let_in(call, MAY.0, MAY.1)?;
            let state = service.state();
            let files: Vec<String> = state.library.0.iter().map(json).collect();
            Ok(collection(call, "LibraryFiles", &files, Default::default()))
        }
        Method::POST => {
            let grant = service.let_in(call, MAY.0, MAY.1)?;
            let form = read(call).await?;
            let file = service.state().library.store(form, &grant.display_name)?;
            Ok(entity(call, StatusCode::OK, "LibraryFiles/$entity", &json(&file)))
        }
        _ => Err(Refusal::method("GET, POST")),
    }
}

/// `/api/libraryfiles/{fileName}`: it can be deleted.
pub(super) fn one(service: &Service, call: &Call, name: &str) -> Result<Response, Refusal> {
    if call.method != Method::DELETE {
        return Err(Refusal::method("DELETE"));
    }
    service.let_in(call, MAY.0, MAY.1)?;
    let library = &mut service.state().library;
    let at = library.find(name).ok_or_else(|| Refusal::no_such("Library file", name))?;
    library.0.remove(at);
    Ok(empty(StatusCode::NO_CONTENT))
}

fn json(file: &StoredFile) -> String {
    serde_json::to_string(file).expect("a file has a JSON form")
}

/// The form; fields match ignoring case, and what the service does not know it ignores.
async fn read(call: &Call) -> Result<Form, Refusal> {
    let mut request = Request::new(axum::body::Body::from(call.body.clone()));
    if let Some(kind) = call.headers.get(header::CONTENT_TYPE) {
        request.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    axum::extract::DefaultBodyLimit::disable().apply(&mut request);
    let mut parts = Multipart::from_request(request, &()).await.map_err(|_| Refusal::body())?;
    let mut form = Form::default();
    while let Some(part) = parts.next_field().await.map_err(|_| Refusal::body())? {
        let field = part.name().unwrap_or_default().to_ascii_lowercase();
        let file_name = part.file_name().map(str::to_owned);
        let bytes = part.bytes().await.map_err(|_| Refusal::body())?;
        if field == "file" {
            let name = file_name.ok_or_else(Refusal::body)?;
            check_name(&name)?;
            if bytes.len() > LARGEST {
                return Err(Refusal::body());
            }
            form.file = Some((name, bytes));
            continue;
        }
        let text = || String::from_utf8(bytes.to_vec()).map_err(|_| Refusal::body());
        match field.as_str() {
            "description" => form.description = Some(text()?).filter(|text| !text.is_empty()),
            "parametersdescription" => {
                form.parameters_description = Some(text()?).filter(|text| !text.is_empty());
            }
            "hasparameters" => form.has_parameters = boolean(&text()?)?,
            "overrideifexists" => form.override_if_exists = boolean(&text()?)?,
            _ => {}
        }
    }
    Ok(form)
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.contains(['/', '\\', ':']) || name.contains(char::is_control) {
        return Err(Refusal::new(400, "InvalidInput", format!("Invalid input {name}")));
    }
    Ok(())
}

fn boolean(text: &str) -> Result<bool, Refusal> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        _ => Err(Refusal::body()),
    }
}

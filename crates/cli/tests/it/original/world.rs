//! What is outside the service: what scripts print, which files the machines have, and the store
//! for results.

use std::collections::HashMap;
use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use jumpbag_wire::time::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::Original;
use super::actions::Command;

#[derive(Default)]
pub struct World {
    scripts: HashMap<String, Said>,
    files: HashMap<String, Bytes>,
    published: HashMap<String, Bytes>,
}

#[derive(Default)]
struct Said {
    output: String,
    errors: String,
    exit_code: i32,
}

impl Original {
    /// What a script prints on every machine, and the exit code it ends with; without this it prints
    /// nothing and ends with 0.
    pub fn script_says(&self, script: &str, stdout: &str, stderr: &str, exit_code: i32) {
        let said = Said { output: stdout.to_owned(), errors: stderr.to_owned(), exit_code };
        self.state().world.scripts.insert(script.to_lowercase(), said);
    }

    /// A file that every machine has.
    pub fn machines_have(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        self.state().world.files.insert(path.to_owned(), bytes);
    }

    /// The links made so far are not good any more.
    pub fn expire_links(&self) {
        self.state().world.published.clear();
    }
}

impl World {
    /// What comes out, if this kind has something to come out, and why it failed, if it did.
    pub(super) fn run(&self, command: &Command) -> (Option<Bytes>, Option<String>) {
        if let Some(script) = command.param("ScriptName") {
            let silent = Said::default();
            let said = self.scripts.get(&script.to_lowercase()).unwrap_or(&silent);
            let result = json!({
                "script_name": script, "exit_code": said.exit_code,
                "script_output": said.output, "script_errors": said.errors,
            });
            let code = said.exit_code;
            let error = (code != 0).then(|| format!("The script ended with exit code {code}"));
            return (Some(result.to_string().into()), error);
        }
        let Some(path) = command.param("Path") else { return (None, None) };
        let Some(bytes) = self.files.get(path) else {
            return (None, Some(format!("The file {path} was not found")));
        };
        let name = path.rsplit(['\\', '/']).next().unwrap_or(path);
        let mut gzip = GzBuilder::new().filename(name).write(Vec::new(), Compression::fast());
        gzip.write_all(bytes).expect("memory can be written");
        (Some(gzip.finish().expect("memory can be written").into()), None)
    }

    /// The path and query of a new link to these bytes.
    pub(super) fn publish(&mut self, action: &str, bytes: Bytes) -> String {
        let (blob, signature) = (Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let expires =
            Timestamp::from_secs(Timestamp::now().secs()).plus_secs(1800).to_string().replace(':', "%3A");
        let link = format!(
            "/investigation-actions-data/{action}/CustomPlaybookCommandOutput/{blob}?se={expires}&sp=r&sv=2019-07-07&sr=b&sig={signature}%3D"
        );
        self.published.insert(link.clone(), bytes);
        link
    }

    pub(super) fn published(&self, link: &str) -> Option<Bytes> {
        self.published.get(link).cloned()
    }
}

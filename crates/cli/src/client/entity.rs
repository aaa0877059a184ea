//! Something that a server told: as it was sent, which is what `--json` prints, and what is read of it here.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::failure::Failure;

#[derive(Debug, Clone)]
pub struct Entity<T> {
    pub raw: Box<RawValue>,
    pub is: T,
}

impl<T: DeserializeOwned> Entity<T> {
    /// # Errors
    /// When it lacks something that is read here, or has it otherwise.
    pub fn read(raw: Box<RawValue>) -> Result<Entity<T>, Failure> {
        let is = serde_json::from_str(raw.get())
            .map_err(|e| Failure::Here(format!("the server told of this in an unknown way: {e}")))?;
        Ok(Entity { raw, is })
    }
}

//! What is said about a file: compared with what a server has, and completed by it.

use serde::{Deserialize, Serialize};

use super::Entry;
use crate::failure::Failure;

/// What somebody wants to be said. What is none is not wanted otherwise than it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters_description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_parameters: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
}

impl Fields {
    /// The properties that are said otherwise on the server. The original keeps three of them only.
    pub fn differing(&self, entry: &Entry) -> Vec<&'static str> {
        let text = |wanted: &Option<String>, is: &Option<String>| {
            wanted.as_ref().is_some_and(|wanted| wanted != is.as_deref().unwrap_or_default())
        };
        let list = |wanted: &Option<Vec<String>>, is: &Vec<String>| {
            wanted.as_ref().is_some_and(|wanted| wanted != is)
        };
        let ours = entry.is_versioned();
        let all = [
            ("description", text(&self.description, &entry.description)),
            ("parametersDescription", text(&self.parameters_description, &entry.parameters_description)),
            ("hasParameters", self.has_parameters.is_some_and(|yes| yes != entry.has_parameters)),
            ("tags", ours && list(&self.tags, &entry.tags)),
            ("platforms", ours && list(&self.platforms, &entry.platforms)),
            ("category", ours && text(&self.category, &entry.category)),
            ("instructions", ours && text(&self.instructions, &entry.instructions)),
        ];
        all.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
    }

    /// With what the server has where nothing is said: an override forgets what it does not say.
    pub fn or_kept(mut self, entry: &Entry) -> Fields {
        self.description = self.description.or_else(|| entry.description.clone());
        if self.parameters_description.is_none() {
            self.parameters_description.clone_from(&entry.parameters_description);
            self.has_parameters = self.has_parameters.or(Some(entry.has_parameters));
        }
        self
    }

    /// Whether anything is said that the original does not keep.
    pub fn is_more_than_the_originals(&self) -> bool {
        self.tags.is_some()
            || self.platforms.is_some()
            || self.category.is_some()
            || self.instructions.is_some()
    }

    /// # Errors
    /// When something is said that the original does not keep.
    pub fn check_original(&self, base: &str) -> Result<(), Failure> {
        if !self.is_more_than_the_originals() {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "{base} is Microsoft Defender for Endpoint, which keeps a description and one of the parameters: no tags, \
             platforms, category or instructions"
        )))
    }
}

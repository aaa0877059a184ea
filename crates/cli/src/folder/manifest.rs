//! `library.toml`: what is said about the files of a folder. What it does not say is left as it is on the server.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};
use serde::Deserialize;

use super::{MANIFEST, walk};
use crate::client::{Entry, Fields};
use crate::failure::Failure;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Paths from the folder that count; all of them when it is not said.
    include: Option<Vec<String>>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    defaults: Said,
    /// By path from the folder.
    #[serde(default)]
    files: BTreeMap<String, Described>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Described {
    /// In the library; the file's own name when it is not said.
    name: Option<String>,
    description: Option<String>,
    parameters_description: Option<String>,
    has_parameters: Option<bool>,
    tags: Option<Vec<String>>,
    platforms: Option<Vec<String>>,
    category: Option<String>,
    instructions: Option<String>,
}

/// What may be said of all files.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Said {
    description: Option<String>,
    tags: Option<Vec<String>>,
    platforms: Option<Vec<String>>,
    category: Option<String>,
    instructions: Option<String>,
}

/// A file of a folder, and what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// From the folder, with `/`.
    pub place: String,
    pub path: PathBuf,
    pub name: String,
    pub fields: Fields,
}

/// `*` stays within a folder, `**` does not.
const GLOBS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// The files of a folder as its manifest has them; without one, all of its files under their own names.
///
/// # Errors
/// When the manifest cannot be read or names what is not there, or the folder cannot be a library.
pub fn members(folder: &Path) -> Result<Vec<Member>, Failure> {
    let manifest = Manifest::read(folder)?;
    let patterns = |globs: &[String]| globs.iter().map(|glob| pattern(glob)).collect::<Result<Vec<_>, _>>();
    let include = manifest.include.as_deref().map(patterns).transpose()?;
    let exclude = patterns(&manifest.exclude)?;
    let mut members = Vec::new();
    for relative in walk(folder)? {
        let place = relative.to_string_lossy().replace('\\', "/");
        let in_any =
            |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches_with(&place, GLOBS));
        let named = manifest.files.contains_key(&place);
        if !named && (include.as_deref().is_some_and(|include| !in_any(include)) || in_any(&exclude)) {
            continue;
        }
        members.push(manifest.member(folder, place, &relative));
    }
    let places: HashSet<&str> = members.iter().map(|member| member.place.as_str()).collect();
    if let Some(place) = manifest.files.keys().find(|place| !places.contains(place.as_str())) {
        return Err(Failure::Here(format!(
            "`{}`: there is no file `{place}` (paths are from the folder, with `/`, and the case of letters counts)",
            folder.join(MANIFEST).display()
        )));
    }
    super::clash(members.iter().map(|member| (member.name.as_str(), member.path.as_path())))?;
    Ok(members)
}

pub fn pattern(glob: &str) -> Result<Pattern, Failure> {
    Pattern::new(glob).map_err(|e| Failure::Usage(format!("`{glob}` is no pattern such as `*.ps1`: {e}")))
}

impl Manifest {
    fn read(folder: &Path) -> Result<Manifest, Failure> {
        let path = folder.join(MANIFEST);
        match super::text(&path)? {
            Some(text) => toml::from_str(&text).map_err(|e| super::toml_failure(&path, &text, &e)),
            None => Ok(Manifest::default()),
        }
    }

    fn member(&self, folder: &Path, place: String, relative: &Path) -> Member {
        let said = self.files.get(&place).cloned().unwrap_or_default();
        let own_name =
            relative.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let defaults = &self.defaults;
        let parameters = said.parameters_description.as_ref();
        let fields = Fields {
            description: said.description.or_else(|| defaults.description.clone()),
            has_parameters: said.has_parameters.or(parameters.map(|text| !text.is_empty())),
            parameters_description: said.parameters_description,
            tags: said.tags.or_else(|| defaults.tags.clone()).map(tidy),
            platforms: said.platforms.or_else(|| defaults.platforms.clone()).map(tidy),
            category: said.category.or_else(|| defaults.category.clone()),
            instructions: said.instructions.or_else(|| defaults.instructions.clone()),
        };
        Member { path: folder.join(relative), name: said.name.unwrap_or(own_name), fields, place }
    }
}

/// As the library keeps them: lower case, without space around, in order, each once.
pub fn tidy(tags: Vec<String>) -> Vec<String> {
    let mut tags: Vec<_> = tags.into_iter().map(|tag| tag.trim().to_lowercase()).collect();
    tags.sort();
    tags.dedup();
    tags
}

/// Writes into the manifest of a folder what a server says of its files, where the manifest does not say it; all else in
/// it stays, comments too; takes out the files that were removed. How many files are described anew.
///
/// # Errors
/// When the manifest cannot be read or written.
pub fn describe(
    folder: &Path,
    files: &[(String, Fields, &Entry)],
    removed: &[String],
    only_count: bool,
) -> Result<usize, Failure> {
    let path = folder.join(MANIFEST);
    let text = super::text(&path)?.unwrap_or_default();
    let mut document: toml_edit::DocumentMut =
        text.parse().map_err(|e| Failure::Here(format!("`{}`: {e}", path.display())))?;
    let (mut described, mut forgotten) = (0, 0);
    if let Some(files) = document.get_mut("files").and_then(toml_edit::Item::as_table_like_mut) {
        forgotten = removed.iter().filter_map(|place| files.remove(place)).count();
    }
    for (place, fields, entry) in files {
        let news = news(fields, entry);
        if news.is_empty() {
            continue;
        }
        described += 1;
        let files = document.entry("files").or_insert_with(|| {
            let mut table = toml_edit::Table::new();
            table.set_implicit(true);
            table.into()
        });
        let of_file =
            files.as_table_like_mut().map(|files| files.entry(place).or_insert_with(toml_edit::table));
        let Some(table) = of_file.and_then(toml_edit::Item::as_table_like_mut) else {
            return Err(Failure::Here(format!("`{}`: `files` is no table of tables", path.display())));
        };
        for (property, value) in news {
            table.insert(property, toml_edit::value(value));
        }
    }
    if described + forgotten > 0 && !only_count {
        let text = document.to_string();
        super::write_whole(&path, |file| std::io::Write::write_all(file, text.as_bytes()))?;
    }
    Ok(described)
}

/// What a server says of a file and the manifest does not, or says otherwise.
fn news(fields: &Fields, entry: &Entry) -> Vec<(&'static str, toml_edit::Value)> {
    let mut news: Vec<(&'static str, toml_edit::Value)> = Vec::new();
    let texts = [
        ("description", &fields.description, &entry.description),
        ("parametersDescription", &fields.parameters_description, &entry.parameters_description),
        ("category", &fields.category, &entry.category),
        ("instructions", &fields.instructions, &entry.instructions),
    ];
    let ours = entry.is_versioned();
    for (property, said, is) in texts {
        let is = is.as_deref().unwrap_or_default();
        let kept = ours || property.contains("escription");
        if kept && said.as_deref().unwrap_or_default() != is {
            news.push((property, is.into()));
        }
    }
    for (property, said, is) in
        [("tags", &fields.tags, &entry.tags), ("platforms", &fields.platforms, &entry.platforms)]
    {
        if ours && said.as_deref().unwrap_or_default() != is.as_slice() {
            news.push((property, is.iter().collect::<toml_edit::Array>().into()));
        }
    }
    let derived = entry.parameters_description.is_some();
    if entry.has_parameters != fields.has_parameters.unwrap_or(derived) {
        news.push(("hasParameters", entry.has_parameters.into()));
    }
    news
}

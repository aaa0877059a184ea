//! What people say about a file. A [`Metadata`] that came from [`Metadata::apply`] is in its one stored form:
//! lists sorted and without duplicates, tags and platforms in lower case, no empty texts.

use jumpbag_wire::library::LibraryFile;
use jumpbag_wire::patch::{Edit, FilePatch};

use super::name::is_control;

/// Bytes of `description`, and of `parametersDescription`.
pub const MAX_DESCRIPTION: usize = 4 * 1024;
/// Bytes of `instructions`.
pub const MAX_INSTRUCTIONS: usize = 16 * 1024;
/// Characters of a category.
pub const MAX_CATEGORY: usize = 64;
/// Characters of a tag.
pub const MAX_TAG: usize = 64;
pub const MAX_TAGS: usize = 32;
/// The platforms that a file can be for, sorted.
pub const PLATFORMS: [&str; 3] = ["linux", "macos", "windows"];

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    pub description: Option<String>,
    pub parameters_description: Option<String>,
    pub has_parameters: bool,
    /// Lower case, sorted, each once.
    pub tags: Vec<String>,
    /// Of [`PLATFORMS`], sorted, each once.
    pub platforms: Vec<String>,
    pub category: Option<String>,
    pub instructions: Option<String>,
}

impl From<&LibraryFile> for Metadata {
    fn from(file: &LibraryFile) -> Metadata {
        Metadata {
            description: file.description.clone(),
            parameters_description: file.parameters_description.clone(),
            has_parameters: file.has_parameters,
            tags: file.tags.clone(),
            platforms: file.platforms.clone(),
            category: file.category.clone(),
            instructions: file.instructions.clone(),
        }
    }
}

/// The rule that a value breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    #[error("`{property}` has {bytes} bytes of UTF-8; at most {max} are allowed")]
    TooManyBytes { property: &'static str, bytes: usize, max: usize },
    #[error("`{property}` has {characters} characters; at most {max} are allowed")]
    TooManyCharacters { property: &'static str, characters: usize, max: usize },
    #[error("`{property}` holds the character U+0000; remove it")]
    Nul { property: &'static str },
    #[error(
        "`{property}` holds the control character U+{:04X}; only visible characters are allowed",
        u32::from(*.codepoint)
    )]
    Control { property: &'static str, codepoint: char },
    #[error("`tags` holds an empty tag; a tag has 1 to {MAX_TAG} characters")]
    EmptyTag,
    #[error("`tags` holds a tag of {characters} characters; a tag has 1 to {MAX_TAG}")]
    LongTag { characters: usize },
    #[error("`tags` holds {tags} tags; at most {MAX_TAGS} are allowed")]
    TooManyTags { tags: usize },
    #[error("`platforms` holds `{}`; the platforms are `windows`, `linux` and `macos`", shown(.platform))]
    UnknownPlatform { platform: String },
    #[error("`{property}` begins with `[` but is not a JSON array of strings: {message}")]
    NotAnArray { property: &'static str, message: String },
}

impl Metadata {
    /// What becomes of the metadata by this patch; an upload is a patch of the default. `null` for
    /// `hasParameters` means: true exactly when there is a description of parameters, as the patch leaves it.
    ///
    /// # Errors
    /// The first rule that a value of the patch breaks.
    pub fn apply(&self, patch: FilePatch) -> Result<Metadata, MetadataError> {
        let bytes = |property, max| move |text: String| free_text(property, text, max);
        let parameters_description = edited(
            &self.parameters_description,
            patch.parameters_description,
            bytes("parametersDescription", MAX_DESCRIPTION),
        )?;
        Ok(Metadata {
            description: edited(&self.description, patch.description, bytes("description", MAX_DESCRIPTION))?,
            has_parameters: match patch.has_parameters {
                Edit::Keep => self.has_parameters,
                Edit::Clear => parameters_description.is_some(),
                Edit::Set(flag) => flag,
            },
            parameters_description,
            tags: edited(&self.tags, patch.tags, tags)?,
            platforms: edited(&self.platforms, patch.platforms, platforms)?,
            category: edited(&self.category, patch.category, category)?,
            instructions: edited(
                &self.instructions,
                patch.instructions,
                bytes("instructions", MAX_INSTRUCTIONS),
            )?,
        })
    }
}

fn edited<V, T: Clone + Default>(
    before: &T,
    edit: Edit<V>,
    check: impl FnOnce(V) -> Result<T, MetadataError>,
) -> Result<T, MetadataError> {
    match edit {
        Edit::Keep => Ok(before.clone()),
        Edit::Clear => Ok(T::default()),
        Edit::Set(value) => check(value),
    }
}

/// The properties that differ, as the wire spells them.
pub fn changed(before: &Metadata, after: &Metadata) -> Vec<&'static str> {
    let differs = [
        ("description", before.description != after.description),
        ("parametersDescription", before.parameters_description != after.parameters_description),
        ("hasParameters", before.has_parameters != after.has_parameters),
        ("tags", before.tags != after.tags),
        ("platforms", before.platforms != after.platforms),
        ("category", before.category != after.category),
        ("instructions", before.instructions != after.instructions),
    ];
    differs.into_iter().filter_map(|(property, differs)| differs.then_some(property)).collect()
}

/// A text of any lines; an empty one is as good as none.
fn free_text(property: &'static str, text: String, max: usize) -> Result<Option<String>, MetadataError> {
    if text.len() > max {
        return Err(MetadataError::TooManyBytes { property, bytes: text.len(), max });
    }
    if text.contains('\0') {
        return Err(MetadataError::Nul { property });
    }
    Ok((!text.is_empty()).then_some(text))
}

/// A name of one line, without the space around it.
fn line<'a>(property: &'static str, text: &'a str) -> Result<&'a str, MetadataError> {
    let line = text.trim();
    match line.chars().find(|c| is_control(*c)) {
        Some(codepoint) => Err(MetadataError::Control { property, codepoint }),
        None => Ok(line),
    }
}

fn category(text: String) -> Result<Option<String>, MetadataError> {
    let category = line("category", &text)?;
    let characters = category.chars().count();
    if characters > MAX_CATEGORY {
        let (property, max) = ("category", MAX_CATEGORY);
        return Err(MetadataError::TooManyCharacters { property, characters, max });
    }
    Ok((!category.is_empty()).then(|| category.to_owned()))
}

/// Tags in their stored form.
fn tags(names: Vec<String>) -> Result<Vec<String>, MetadataError> {
    let mut tags = Vec::with_capacity(names.len());
    for name in names {
        let tag = line("tags", &name)?.to_lowercase();
        match tag.chars().count() {
            0 => return Err(MetadataError::EmptyTag),
            characters if characters > MAX_TAG => return Err(MetadataError::LongTag { characters }),
            _ => tags.push(tag),
        }
    }
    tags.sort_unstable();
    tags.dedup();
    if tags.len() > MAX_TAGS {
        return Err(MetadataError::TooManyTags { tags: tags.len() });
    }
    Ok(tags)
}

/// Platforms in their stored form.
fn platforms(names: Vec<String>) -> Result<Vec<String>, MetadataError> {
    let mut wanted = [false; PLATFORMS.len()];
    for name in names {
        match PLATFORMS.iter().position(|platform| platform.eq_ignore_ascii_case(name.trim())) {
            Some(at) => wanted[at] = true,
            None => return Err(MetadataError::UnknownPlatform { platform: name }),
        }
    }
    let chosen = PLATFORMS.into_iter().zip(wanted).filter(|(_, wanted)| *wanted);
    Ok(chosen.map(|(platform, _)| platform.to_owned()).collect())
}

/// The tags in a field of a form: a JSON array of strings, or names with commas between them.
///
/// # Errors
/// The first rule that a tag breaks.
pub fn tags_from_form(text: &str) -> Result<Vec<String>, MetadataError> {
    tags(list("tags", text)?)
}

/// The platforms in a field of a form: a JSON array of strings, or names with commas between them.
///
/// # Errors
/// When there is a platform that does not exist.
pub fn platforms_from_form(text: &str) -> Result<Vec<String>, MetadataError> {
    platforms(list("platforms", text)?)
}

fn list(property: &'static str, text: &str) -> Result<Vec<String>, MetadataError> {
    let text = text.trim();
    if text.starts_with('[') {
        let array = serde_json::from_str(text);
        return array.map_err(|e| MetadataError::NotAnArray { property, message: e.to_string() });
    }
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

/// A name from outside, as a message can show it.
fn shown(name: &str) -> String {
    let start: String = name.chars().take(MAX_TAG).collect();
    let more = if start.len() < name.len() { "…" } else { "" };
    format!("{}{more}", start.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jumpbag_wire::patch::PROPERTIES;
    use proptest::prelude::*;

    fn apply(before: &Metadata, patch: &str) -> Result<Metadata, String> {
        let patch = FilePatch::parse(patch.as_bytes()).map_err(|error| error.to_string())?;
        before.apply(patch).map_err(|error| error.to_string())
    }

    fn described() -> Metadata {
        Metadata {
            description: Some("d".into()),
            parameters_description: Some("-Path".into()),
            has_parameters: true,
            tags: vec!["triage".into()],
            platforms: vec!["windows".into()],
            category: Some("Collect".into()),
            instructions: Some("run it\nas root".into()),
        }
    }

    #[test]
    fn what_is_absent_stays_and_null_takes_away() {
        assert_eq!(apply(&described(), "{}"), Ok(described()));
        let nulls = PROPERTIES.map(|name| format!("\"{name}\":null")).join(",");
        assert_eq!(apply(&described(), &format!("{{{nulls}}}")), Ok(Metadata::default()));
        let empty = r#"{"description":"","parametersDescription":"","hasParameters":false,"tags":[],
            "platforms":[],"category":" ","instructions":""}"#;
        assert_eq!(apply(&described(), empty), Ok(Metadata::default()));
        let one = apply(&described(), r#"{"category":"  Contain "}"#).unwrap();
        assert_eq!(one, Metadata { category: Some("Contain".into()), ..described() });
    }

    #[test]
    fn has_parameters_goes_back_to_what_the_description_of_parameters_says() {
        let has = |before: &Metadata, patch| apply(before, patch).unwrap().has_parameters;
        let none = Metadata::default();
        assert!(!has(&none, r#"{"parametersDescription":"-Path"}"#));
        assert!(has(&none, r#"{"parametersDescription":"-Path","hasParameters":null}"#));
        assert!(has(&none, r#"{"hasParameters":null,"parametersDescription":"-Path"}"#));
        assert!(!has(&none, r#"{"parametersDescription":"","hasParameters":null}"#));
        assert!(!has(&described(), r#"{"parametersDescription":null,"hasParameters":null}"#));
        assert!(has(&described(), r#"{"parametersDescription":null}"#));
        assert!(!has(&described(), r#"{"hasParameters":false}"#));
    }

    #[test]
    fn tags_and_platforms_have_one_stored_form() {
        let patch = r#"{"tags":["Triage"," zeek","ÜBER","triage ","a b"],"platforms":["Windows","LINUX","windows "]}"#;
        let after = apply(&Metadata::default(), patch).unwrap();
        assert_eq!(after.tags, ["a b", "triage", "zeek", "über"]);
        assert_eq!(after.platforms, ["linux", "windows"]);
    }

    #[test]
    fn each_rule_refuses_its_values() {
        let many: Vec<_> = (0..33).map(|n| format!("t{n}")).collect();
        let many = format!("{{\"tags\":{many:?}}}");
        let text = |property: &str, count| format!("{{\"{property}\":\"{}\"}}", "é".repeat(count));
        let cases = [
            (text("description", 2049), "`description` has 4098 bytes of UTF-8; at most 4096 are allowed"),
            (
                text("parametersDescription", 2049),
                "`parametersDescription` has 4098 bytes of UTF-8; at most 4096 are allowed",
            ),
            (
                text("instructions", 8193),
                "`instructions` has 16386 bytes of UTF-8; at most 16384 are allowed",
            ),
            (text("category", 65), "`category` has 65 characters; at most 64 are allowed"),
            (r#"{"description":"a\u0000"}"#.into(), "`description` holds the character U+0000; remove it"),
            (
                r#"{"category":"a\nb"}"#.into(),
                "`category` holds the control character U+000A; only visible characters are allowed",
            ),
            (
                r#"{"tags":["a","b\u202ec"]}"#.into(),
                "`tags` holds the control character U+202E; only visible characters are allowed",
            ),
            (r#"{"tags":["a"," "]}"#.into(), "`tags` holds an empty tag; a tag has 1 to 64 characters"),
            (
                format!("{{\"tags\":[\"{}\"]}}", "x".repeat(65)),
                "`tags` holds a tag of 65 characters; a tag has 1 to 64",
            ),
            (many, "`tags` holds 33 tags; at most 32 are allowed"),
            (
                r#"{"platforms":["linux","sol\taris"]}"#.into(),
                "`platforms` holds `sol\\taris`; the platforms are `windows`, `linux` and `macos`",
            ),
        ];
        for (patch, message) in cases {
            assert_eq!(apply(&Metadata::default(), &patch), Err(message.into()), "{patch}");
        }
    }

    #[test]
    fn values_at_their_limits_are_taken() {
        let tags: Vec<_> = (0..32).map(|n| format!("{n:0>64}")).collect();
        let patch = FilePatch {
            description: Edit::Set("x".repeat(MAX_DESCRIPTION)),
            parameters_description: Edit::Set("x".repeat(MAX_DESCRIPTION)),
            has_parameters: Edit::Clear,
            tags: Edit::Set([tags.clone(), tags].concat()),
            platforms: Edit::Set(["windows", "linux", "macos"].map(str::to_owned).to_vec()),
            category: Edit::Set("é".repeat(MAX_CATEGORY)),
            instructions: Edit::Set("x".repeat(MAX_INSTRUCTIONS)),
        };
        let after = Metadata::default().apply(patch).unwrap();
        assert_eq!((after.tags.len(), after.platforms.len()), (32, 3));
        assert_eq!(changed(&Metadata::default(), &after), PROPERTIES);
    }

    #[test]
    fn what_changed_is_named_as_on_the_wire() {
        assert_eq!(changed(&described(), &described()), [""; 0]);
        let after = Metadata { tags: vec![], has_parameters: false, ..described() };
        assert_eq!(changed(&described(), &after), ["hasParameters", "tags"]);
    }

    #[test]
    fn fields_of_a_form_are_arrays_or_names_with_commas() {
        let form = |text| tags_from_form(text).map_err(|error| error.to_string());
        let two = || Ok(vec!["a b".to_owned(), "c".to_owned()]);
        assert_eq!(form("c, A b,,"), two());
        assert_eq!(form(r#" ["c","A b"] "#), two());
        assert_eq!(form(r#"["a,b"]"#), Ok(vec!["a,b".into()]));
        assert_eq!(form(" "), Ok(vec![]));
        assert_eq!(form("[]"), Ok(vec![]));
        assert_eq!(
            form("[c"),
            Err("`tags` begins with `[` but is not a JSON array of strings: expected value at line 1 column 2"
                .into())
        );
        assert!(form("[1]").is_err());
        assert!(form(r#"[""]"#).is_err());
        assert_eq!(platforms_from_form("macOS,windows"), Ok(vec!["macos".into(), "windows".into()]));
        let refused = platforms_from_form(r#"["mac"]"#).map_err(|error| error.to_string());
        assert_eq!(
            refused,
            Err("`platforms` holds `mac`; the platforms are `windows`, `linux` and `macos`".into())
        );
    }

    fn edit<T: Clone + std::fmt::Debug + 'static>(
        value: impl Strategy<Value = T> + 'static,
    ) -> impl Strategy<Value = Edit<T>> {
        prop_oneof![Just(Edit::Keep), Just(Edit::Clear), value.prop_map(Edit::Set)]
    }

    prop_compose! {
        fn patches()(
            description in edit("\\PC{0,8}"),
            parameters_description in edit("[a\\n]{0,2}"),
            has_parameters in edit(any::<bool>()),
            tags in edit(proptest::collection::vec("[ aAbBİΣß,\u{85}]{1,4}", 0..6)),
            platforms in edit(proptest::collection::vec("(?i)(linux|macos| windows)", 0..5)),
            category in edit("[ a\\t\u{3000}]{0,4}"),
            instructions in edit("\\PC{0,8}"),
        ) -> FilePatch {
            FilePatch { description, parameters_description, has_parameters, tags, platforms, category, instructions }
        }
    }

    proptest! {
        #[test]
        fn a_patch_that_applied_changes_nothing_again(first in patches(), second in patches()) {
            let before = Metadata::default().apply(first).unwrap_or_default();
            if let Ok(after) = before.apply(second.clone()) {
                prop_assert_eq!(after.apply(second.clone()), Ok(after.clone()));
                // What is stored passes the rules as it is.
                let whole = FilePatch {
                    description: after.description.clone().into(),
                    parameters_description: after.parameters_description.clone().into(),
                    has_parameters: Edit::Set(after.has_parameters),
                    tags: Edit::Set(after.tags.clone()),
                    platforms: Edit::Set(after.platforms.clone()),
                    category: after.category.clone().into(),
                    instructions: after.instructions.clone().into(),
                };
                prop_assert_eq!(Metadata::default().apply(whole), Ok(after.clone()));
                // Nothing but what the patch names can change.
                let written = serde_json::to_value(&second).expect("plain data");
                for property in changed(&before, &after) {
                    prop_assert!(written.get(property).is_some(), "{property}");
                }
                let read = FilePatch::parse(written.to_string().as_bytes());
                prop_assert_eq!(read, Ok(second));
            }
        }
    }
}

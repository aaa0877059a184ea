//! A plan as people and programs read it.

use serde::Serialize;

use crate::client::Client;
use crate::commands::files::coloured;
use crate::failure::Failure;
use crate::output::{BAD, CHANGED, FAINT, GOOD, Output, shown, size};
use crate::sync::{Plan, Step, What, text};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Change<'a> {
    action: What,
    file_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    properties: &'a [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned<'a> {
    changes: Vec<Change<'a>>,
    unchanged: usize,
    not_in_folder: usize,
}

/// The steps that do something, each on a line, and how many there are of each kind.
///
/// # Errors
/// When it cannot be written, or `diff` asks for what the server does not give.
pub async fn plan(output: Output, client: &Client, plan: &Plan, diff: bool) -> Result<(), Failure> {
    if output.json {
        return output.json(&Planned {
            changes: plan.changes().map(change).collect(),
            unchanged: plan.count(What::Unchanged),
            not_in_folder: plan.count(What::Extra),
        });
    }
    let width =
        plan.changes().map(|step| console::measure_text_width(&shown(&step.name))).max().unwrap_or(0).min(40);
    for step in plan.changes() {
        let (sign, verb, style) = match step.what {
            What::Add => ('+', "add", GOOD),
            What::Override => ('~', "override", CHANGED),
            What::Edit => ('~', "edit", CHANGED),
            What::Delete => ('-', "delete", BAD),
            _ => ('!', "conflict", BAD),
        };
        let note = note(step);
        let name = console::pad_str(&shown(&step.name), width, console::Alignment::Left, None).into_owned();
        let line = format!("{style}{sign} {verb:8}{style:#}  {name}  {FAINT}{note}{FAINT:#}");
        output.line(if note.is_empty() {
            format!("{style}{sign} {verb:8}{style:#}  {}", shown(&step.name))
        } else {
            line
        })?;
        if diff {
            difference(output, client, step).await?;
        }
    }
    output.line(summary(plan))
}

fn change(step: &Step) -> Change<'_> {
    Change {
        action: step.what,
        file_name: &step.name,
        path: step.wanted.as_ref().map(|wanted| wanted.place.as_str()),
        properties: &step.differing,
        reason: step.why.as_deref(),
    }
}

fn note(step: &Step) -> String {
    let from = step
        .wanted
        .as_ref()
        .filter(|wanted| wanted.place != step.name)
        .map(|wanted| format!("from {}", wanted.place));
    let what = match step.what {
        What::Conflict => step.why.clone(),
        What::Edit => Some(step.differing.join(", ")),
        What::Add | What::Override => step.wanted.as_ref().map(|wanted| size(wanted.size)),
        _ => None,
    };
    let parts: Vec<_> = what.into_iter().chain(from).collect();
    shown(&parts.join(", ")).into_owned()
}

fn summary(plan: &Plan) -> String {
    let counts = [
        (What::Add, "to add"),
        (What::Override, "to override"),
        (What::Edit, "to edit"),
        (What::Delete, "to delete"),
        (What::Conflict, "in conflict"),
        (What::Unchanged, "unchanged"),
    ];
    let mut parts: Vec<_> = counts
        .into_iter()
        .map(|(what, text)| (plan.count(what), text))
        .filter(|(count, _)| *count > 0)
        .map(|(count, text)| format!("{count} {text}"))
        .collect();
    if parts.is_empty() {
        parts.push("nothing to do".into());
    }
    let mut summary = parts.join(", ");
    match plan.count(What::Extra) {
        0 => {}
        1 => summary.push_str("; 1 file of the library is not in the folder (`--delete` deletes it)"),
        more => summary.push_str(&format!(
            "; {more} files of the library are not in the folder (`--delete` deletes them)"
        )),
    }
    if plan.count(What::Conflict) > 0 {
        summary.push_str(
            "\nConflicts are left as they are: `--pull` takes what the server has, `--force` overwrites it",
        );
    }
    summary
}

/// What an override changes in the text, and an edit in what is said.
async fn difference(output: Output, client: &Client, step: &Step) -> Result<(), Failure> {
    let (Some(wanted), Some(entry)) = (&step.wanted, &step.entry) else { return Ok(()) };
    if entry.sha256 != wanted.sha256 {
        if wanted.size.max(entry.size.unwrap_or(0)) > text::LONGEST as u64 {
            output.line("  larger than 4 MiB: not compared")?;
        } else if entry.is_versioned() {
            let here = super::apply::bytes(wanted)?;
            let there = text::content(client, entry).await?;
            coloured(&text::difference(
                &there,
                &here,
                (&format!("{} in the library", entry.file_name), &wanted.place),
            ))?;
        } else {
            output.line(format!(
                "  the server does not give the file back: its SHA-256 is {}",
                shown(&entry.sha256)
            ))?;
        }
    }
    for property in &step.differing {
        let (is, shall) = values(property, wanted, entry);
        output.line(format!("  {property}: {} {FAINT}→{FAINT:#} {}", shown(&is), shown(&shall)))?;
    }
    Ok(())
}

fn values(property: &str, wanted: &crate::sync::Wanted, entry: &crate::client::Entry) -> (String, String) {
    let fields = &wanted.fields;
    let text = |is: &Option<String>, shall: &Option<String>| {
        (
            format!("{:?}", is.as_deref().unwrap_or_default()),
            format!("{:?}", shall.as_deref().unwrap_or_default()),
        )
    };
    let list = |is: &[String], shall: &Option<Vec<String>>| {
        (format!("{is:?}"), format!("{:?}", shall.as_deref().unwrap_or_default()))
    };
    match property {
        "description" => text(&entry.description, &fields.description),
        "parametersDescription" => text(&entry.parameters_description, &fields.parameters_description),
        "tags" => list(&entry.tags, &fields.tags),
        "platforms" => list(&entry.platforms, &fields.platforms),
        "category" => text(&entry.category, &fields.category),
        "instructions" => text(&entry.instructions, &fields.instructions),
        _ => (entry.has_parameters.to_string(), fields.has_parameters.unwrap_or_default().to_string()),
    }
}

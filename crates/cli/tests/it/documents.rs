//! What the documentation promises of the command line.

use serde_json::Value;

use crate::original::Original;
use crate::program::Home;

fn document(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("`{}`: {e}", path.display()))
}

fn example(schema: &Value, property: &str, of: &Value) -> String {
    let of = match of["$ref"].as_str() {
        Some(reference) => &schema["$defs"][reference.rsplit('/').next().expect("a name")],
        None => of,
    };
    match (of["type"].as_str(), property) {
        (Some("boolean"), _) => "true".into(),
        (Some("array"), "platforms") => r#"["linux"]"#.into(),
        (Some("array"), "include") => r#"["*.sh"]"#.into(),
        (Some("array"), _) => r#"["one"]"#.into(),
        (Some("string"), _) => r#""text""#.into(),
        other => panic!("`{property}` is of an unknown type: {other:?}"),
    }
}

/// A manifest with everything that the schema knows is read; one word that the schema does not know is refused.
#[tokio::test]
async fn the_schema_of_manifests_is_what_the_program_reads() {
    let schema: Value = serde_json::from_str(&document("library.schema.json")).expect("JSON");
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    home.write("lib/a.sh", "x");
    let top = schema["properties"].as_object().expect("properties");
    let lines = |of: &Value| {
        let properties = of["properties"].as_object().expect("properties");
        properties
            .iter()
            .map(|(name, of)| format!("{name} = {}\n", example(&schema, name, of)))
            .collect::<String>()
    };
    let mut manifest = String::new();
    for (name, of) in top.iter().filter(|(_, of)| of["type"] == "array") {
        manifest += &format!("{name} = {}\n", example(&schema, name, of));
    }
    manifest += &format!("[defaults]\n{}", lines(&top["defaults"]));
    let of_file = &top["files"]["additionalProperties"];
    manifest += &format!("[files.\"a.sh\"]\n{}", lines(of_file));
    home.write("lib/library.toml", &manifest);
    let planned = home.quietly(&["sync", "lib", "--plan", "--json"]).await.expect(2).json();
    assert_eq!(planned["changes"][0]["fileName"], "text");
    for (place, property) in
        [("", "other = 1\n"), ("[defaults]\n", "name = \"x\"\n"), ("[files.\"a.sh\"]\n", "sha256 = \"x\"\n")]
    {
        home.write("lib/library.toml", format!("{place}{property}"));
        let ran = home.quietly(&["sync", "lib", "--plan"]).await.expect(1);
        assert!(ran.stderr.contains("unknown field"), "{}", ran.stderr);
    }
    home.write("lib/library.toml", "[files.\"nowhere.sh\"]\n");
    let ran = home.quietly(&["sync", "lib", "--plan"]).await.expect(1);
    assert!(ran.stderr.contains("there is no file `nowhere.sh`"), "{}", ran.stderr);
}

/// Every command has a manual page, and is named on the page about the command line.
#[tokio::test]
async fn every_command_is_documented() {
    let home = Home::new();
    home.quietly(&["man", "pages"]).await.expect(0);
    let (pages, text) = (home.names("pages"), document("cli.md"));
    assert!(pages.len() > 25, "{pages:?}");
    for page in pages {
        let words = page.trim_end_matches(".1").replace('-', " ");
        let Some(command) = words.strip_prefix("jumpbag ") else { continue };
        if command.starts_with("help") || command.contains(" help") {
            continue;
        }
        let last = command.rsplit(' ').next().expect("a word");
        assert!(
            text.contains(&format!("`{command}")) || text.contains(&format!("`{last}`")),
            "`{command}` is not in cli.md"
        );
    }
}

#[tokio::test]
async fn shells_complete_the_commands() {
    let home = Home::new();
    for (shell, mark) in [
        ("bash", "complete -F _jumpbag"),
        ("zsh", "#compdef jumpbag"),
        ("fish", "complete -c jumpbag"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = home.quietly(&["completions", shell]).await.expect(0).stdout;
        assert!(script.contains(mark) && script.contains("bundle"), "{shell}");
    }
    home.write("c.bash", home.quietly(&["completions", "bash"]).await.stdout);
    let checked =
        std::process::Command::new("bash").arg("-n").arg(home.path("c.bash")).status().expect("bash");
    assert!(checked.success());
}

/// A reader that goes away, as `head` does, is no reason for words.
#[tokio::test]
async fn a_reader_that_goes_away_is_no_failure_worth_words() {
    let original = Original::start().await;
    for n in 0..500 {
        original.put(&format!("{n}.ps1"), "x");
    }
    let home = Home::at(&(&original).into());
    let mut child = home.command(&["files", "list"]).spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().await.expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

//! The console, in a real browser (`tests/clients/console.mjs`) and as an attacker would look at it.

mod machine;
mod verifying;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;

use crate::sign_in::{PASSWORD, add_user, at_the_console};
use crate::support::browser::{Browser, Shown};
use crate::support::process::Process;
use crate::support::server::{Jumpbag, Options};
use crate::support::{clients, repository};
use machine::Machine;

const ALICE: &str = "alice";
const EVERYTHING: [&str; 5] = [
    "Library.Manage",
    "Machine.ReadWrite",
    "Machine.LiveResponse",
    "Audit.Read",
    "Application.ReadWrite.All",
];

/// A server with a user who may do everything, and room to do it.
async fn bag(options: Options) -> Jumpbag {
    plain_bag(options.set("rate_limits", false).set("max_file_bytes", 2_000_000)).await
}

/// The same with the limits that the options say.
async fn plain_bag(options: Options) -> Jumpbag {
    let bag = options.start().await;
    let more: Vec<&str> = EVERYTHING.iter().flat_map(|permission| ["--permission", permission]).collect();
    add_user(&bag, ALICE, &more).await;
    bag
}

/// A story in Chromium, under way.
fn begin(bag: &Jumpbag, story: &str, shots: &str) -> Process {
    begin_with(bag, story, shots, &[])
}

/// The same, with what the story needs besides.
fn begin_with(bag: &Jumpbag, story: &str, shots: &str, more: &[&str]) -> Process {
    begin_at(&bag.url(), story, shots, more)
}

/// The same at another address of the server.
pub fn begin_at(base: &str, story: &str, shots: &str, more: &[&str]) -> Process {
    let mut command = clients::node();
    command.arg(clients::script("console.mjs")).arg(clients::node_modules_parent());
    command.args([story, base, ALICE, PASSWORD, shots]).args(more);
    Process::spawn(story, command)
}

pub async fn ends_well(story: Process) {
    ends_well_within(story, 150).await;
}

async fn ends_well_within(story: Process, seconds: u64) {
    let status = story.ended(Duration::from_secs(seconds)).await;
    assert!(status.success(), "{}", story.stderr());
}

#[tokio::test]
async fn heavy_a_first_hour_in_a_browser() {
    let bag = bag(Jumpbag::options()).await;
    ends_well(begin(&bag, "first-hour", "-")).await;
}

#[tokio::test]
async fn heavy_nothing_that_anybody_is_called_becomes_part_of_a_page() {
    let bag = bag(Jumpbag::options()).await;
    ends_well(begin(&bag, "hostile", "-")).await;
}

#[tokio::test]
async fn heavy_what_goes_wrong_is_said_and_a_session_begins_again_where_it_ended() {
    let bag = bag(Jumpbag::options()).await;
    ends_well(begin(&bag, "trouble", "-")).await;
}

#[tokio::test]
async fn heavy_two_thousand_files_and_somebody_elses_upload() {
    let bag = bag(Jumpbag::options()).await;
    let client = bag.client().await;
    let uploads = (0..2000).map(|n| {
        let client = client.clone();
        async move {
            client.upload(&format!("script-{n:04}.ps1"), format!("Write-Output {n}")).await.expect_status(200)
        }
    });
    futures_util::stream::iter(uploads).buffer_unordered(32).collect::<Vec<_>>().await;
    let story = begin(&bag, "live", "-");
    story.line(Duration::from_secs(60), |line| (line == "ready").then_some(())).await;
    bag.upload("another.ps1", "x").await.expect_status(200);
    ends_well(story).await;
}

#[tokio::test]
async fn heavy_apps_are_registered_and_what_is_shown_once_works() {
    let bag = bag(Jumpbag::options()).await;
    let less = ["--permission", "Library.Read", "--permission", "Application.ReadWrite.All"];
    add_user(&bag, "bob", &less).await;
    ends_well(begin(&bag, "apps", "-")).await;
}

#[tokio::test]
async fn heavy_a_script_runs_on_a_machine_and_is_followed_from_a_browser() {
    let bag = bag(Jumpbag::options()).await;
    let machine = Machine::of(&bag).await;
    ends_well(begin_with(&bag, "machines", "-", &[&machine.folder()])).await;
}

#[tokio::test]
async fn heavy_a_machine_that_enrols_shows_by_itself() {
    let bag = bag(Jumpbag::options()).await;
    let story = begin(&bag, "enrolling", "-");
    story.line(Duration::from_secs(60), |line| (line == "ready").then_some(())).await;
    let _machine = Machine::of(&bag).await;
    ends_well(story).await;
}

#[tokio::test]
async fn heavy_words_that_come_late_find_their_files() {
    let bag = bag(Jumpbag::options()).await;
    ends_well(begin(&bag, "late", "-")).await;
}

#[tokio::test]
async fn heavy_no_dialog_loses_words_by_escape_or_by_going_back() {
    let bag = bag(Jumpbag::options()).await;
    ends_well(begin(&bag, "escape", "-")).await;
}

#[tokio::test]
async fn heavy_whoever_was_slower_decides_what_becomes_of_a_file() {
    let bag = bag(Jumpbag::options()).await;
    ends_well(begin(&bag, "conflict", "-")).await;
}

#[tokio::test]
async fn heavy_a_page_waits_where_the_server_asks_it_to() {
    let bag = plain_bag(Jumpbag::options().set("library_calls_per_minute", 14)).await;
    ends_well(begin(&bag, "limits", "-")).await;
}

#[tokio::test]
async fn heavy_large_texts_leave_the_page_usable() {
    let bag = plain_bag(Jumpbag::options().set("rate_limits", false)).await;
    ends_well(begin(&bag, "large", "-")).await;
}

#[tokio::test]
async fn heavy_what_was_typed_outlives_the_session() {
    let bag = bag(Jumpbag::options()).await;
    let story = begin(&bag, "expiry", "-");
    story.line(Duration::from_secs(60), |line| (line == "ready").then_some(())).await;
    let (status, _, stderr) = bag.command(&["users", "sessions", ALICE, "--end"]).await;
    assert!(status.success(), "{stderr}");
    ends_well(story).await;
}

#[tokio::test]
async fn heavy_a_reload_in_the_middle_of_an_upload_leaves_nothing_half_done() {
    let bag = bag(Jumpbag::options()).await;
    ends_well(begin(&bag, "reload", "-")).await;
}

#[tokio::test]
async fn heavy_legal_holds_are_set_and_lifted_in_a_browser() {
    let bag = bag(Jumpbag::options()).await;
    ends_well(begin(&bag, "holds", "-")).await;
}

/// Prints how many bytes a first visit takes, and how long on slow lines.
#[tokio::test]
async fn heavy_a_first_visit_is_small() {
    let bag = bag(Jumpbag::options()).await;
    for n in 0..100 {
        bag.upload(&format!("script-{n:03}.ps1"), "Get-Process").await.expect_status(200);
    }
    let story = begin(&bag, "budget", "-");
    let figure = |line: &str| line.starts_with("budget: a 4G").then(|| line.to_owned());
    println!("{}", story.line(Duration::from_secs(150), figure).await);
    ends_well(story).await;
}

/// Every view in both themes and at three widths: nothing too wide, nothing that axe-core finds. `CONSOLE_SHOTS` is a folder
/// for the pictures.
#[tokio::test]
async fn heavy_every_view_in_both_themes_and_at_three_widths() {
    let bag = bag(Jumpbag::options()).await;
    let script = "param([string]$Name = '*', [int]$Days = 7)\n\n# What runs, and since when.\nGet-Process -Name $Name |\n    \
                  Where-Object { $_.StartTime -gt (Get-Date).AddDays(-$Days) } |\n    Sort-Object StartTime |\n    \
                  Format-Table Id, Name, StartTime, Path\n";
    for (name, description, tags, platforms) in [
        ("triage.ps1", "What runs, and since when", "triage,windows", "windows"),
        ("collect-logs.sh", "Journal and /var/log of the last hours", "collect,linux", "linux"),
        ("persistence.sh", "What starts by itself", "triage,macos", "macos"),
        ("procdump.exe", "Memory of a process", "tool", "windows"),
    ] {
        let upload = bag
            .upload(name, script)
            .description(description)
            .field("Tags", tags)
            .field("Platforms", platforms);
        upload.await.expect_status(200);
    }
    let shots = std::env::var("CONSOLE_SHOTS").unwrap_or("-".into());
    let _machine = Machine::of(&bag).await;
    ends_well_within(begin(&bag, "pictures", &shots), 500).await;
}

/// A browser whose user, who may do everything, has just come in.
pub async fn someone(bag: &Jumpbag) -> Browser {
    let more: Vec<&str> = EVERYTHING.iter().flat_map(|permission| ["--permission", permission]).collect();
    add_user(bag, ALICE, &more).await;
    at_the_console(bag, ALICE).await
}

async fn called(browser: &Browser, bag: &Jumpbag, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let call = bag
        .anonymous()
        .call(method.parse().expect("a method"), path)
        .with(|request| headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)));
    browser.with_cookies(call).await.status
}

/// The cookie alone is no proof that one of our pages made the call.
#[tokio::test]
async fn calls_of_other_sites_do_nothing_whatever_cookies_come_along() {
    let bag = bag(Jumpbag::options()).await;
    bag.upload("a.ps1", "x").await.expect_status(200);
    let browser = at_the_console(&bag, ALICE).await;
    let own = [("sec-fetch-site", "same-origin")];
    assert_eq!(called(&browser, &bag, "GET", "/api/libraryfiles", &own).await, 200);
    assert_eq!(called(&browser, &bag, "GET", "/session", &own).await, 200);
    let origin = bag.url();
    for foreign in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site"), ("origin", &origin)],
    ] {
        for (method, path) in [
            ("GET", "/api/libraryfiles"),
            ("DELETE", "/api/libraryfiles/a.ps1"),
            ("POST", "/signout"),
            ("GET", "/session"),
        ] {
            assert_eq!(
                called(&browser, &bag, method, path, foreign).await,
                403,
                "{method} {path} {foreign:?}"
            );
        }
    }
    assert_eq!(bag.names().await, ["a.ps1"]);
    // A client that says nothing of where it is may read, and changes nothing.
    assert_eq!(called(&browser, &bag, "DELETE", "/api/libraryfiles/a.ps1", &[]).await, 403);
    assert_eq!(called(&browser, &bag, "DELETE", "/api/libraryfiles/a.ps1", &own).await, 204);
    // Who has signed out is out, with the same cookie too.
    assert_eq!(called(&browser, &bag, "POST", "/signout", &own).await, 303);
    assert_eq!(called(&browser, &bag, "GET", "/api/libraryfiles", &own).await, 401);
}

/// Whoever planted a cookie before a sign-in has nothing after it, and a new sign-in ends the one before.
#[tokio::test]
async fn a_session_at_the_console_is_never_one_that_was_there_before() {
    let bag = bag(Jumpbag::options()).await;
    let own = [("sec-fetch-site", "same-origin")];
    let mut browser = Browser::new(bag.anonymous());
    let planted = "jb_planted0000000000000000000000000000000000000";
    for name in ["jumpbag-console", "jumpbag-session"] {
        browser.cookies.insert(name.into(), planted.into());
    }
    let attacker = browser.clone();
    let page = browser.get("/signin").await;
    browser.submit("/signin", &page, &[("username", ALICE), ("password", PASSWORD)]).await;
    assert_ne!(browser.cookies["jumpbag-console"], planted);
    assert_eq!(called(&browser, &bag, "GET", "/session", &own).await, 200);
    assert_eq!(called(&attacker, &bag, "GET", "/session", &own).await, 401);
    // The form is still open in another tab.
    let first = browser.clone();
    browser.submit("/signin", &page, &[("username", ALICE), ("password", PASSWORD)]).await;
    assert_eq!(called(&browser, &bag, "GET", "/session", &own).await, 200);
    assert_eq!(called(&first, &bag, "GET", "/session", &own).await, 401);
}

#[tokio::test]
async fn the_consoles_cookie_goes_nowhere_else_and_a_sign_in_leads_nowhere_else() {
    let bag = bag(Jumpbag::options().tls()).await;
    let mut browser = Browser::new(bag.anonymous());
    let page = browser.get("/signin?to=https%3A%2F%2Fevil.example%2F").await;
    let shown: Shown = browser.submit("/signin", &page, &[("username", ALICE), ("password", PASSWORD)]).await;
    assert_eq!(shown.sent_to(), "/");
    let mut other = Browser::new(bag.anonymous());
    let page = other.get("/signin?to=%2Faudit").await;
    let here = other.submit("/signin", &page, &[("username", ALICE), ("password", PASSWORD)]).await;
    assert_eq!(here.sent_to(), "/audit");
    let cookies: Vec<_> = shown
        .answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().expect("ASCII").to_owned())
        .collect();
    let console =
        cookies.iter().find(|line| line.starts_with("__Host-jumpbag-console=")).expect("its cookie");
    for part in ["Path=/", "HttpOnly", "Secure", "SameSite=Strict"] {
        assert!(console.contains(part), "{console}");
    }
}

#[tokio::test]
async fn pages_load_nothing_from_elsewhere_and_cannot_be_framed() {
    let bag = bag(Jumpbag::options()).await;
    for path in [
        "/",
        "/files/triage.ps1",
        "/deleted",
        "/machines",
        "/actions",
        "/actions/x",
        "/apps",
        "/audit",
        "/console/main.js",
    ] {
        let answer = bag.anonymous().get(path).await.expect_status(200);
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    let main = bag.anonymous().get("/console/main.js").await;
    let known =
        bag.anonymous().get("/console/main.js").with(|request| request.header("if-none-match", main.etag()));
    assert_eq!(known.await.status, 304);
    for path in
        ["/console/tsconfig.json", "/console/../Cargo.toml", "/console/", "/console/nothing.js", "/elsewhere"]
    {
        bag.anonymous().get(path).await.expect_status(404);
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// What a module imports when it is loaded, by its path below the console's folder.
fn imports(root: &Path, module: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root.join(module)).expect("a module");
    let folder = Path::new(module).parent().expect("a folder");
    let named = text.split(" from '").skip(1).filter_map(|rest| rest.split('\'').next());
    let path = |name: &str| match name.strip_prefix("../") {
        Some(above) => PathBuf::from(above),
        None => folder.join(name.trim_start_matches("./")),
    };
    named.map(|name| path(name).display().to_string()).collect()
}

/// The page names all modules of its first view, so that the browser asks for them at once.
#[test]
fn the_page_names_every_module_that_the_first_view_needs() {
    let root = repository().join("console");
    let mut needed = vec!["main.js".to_owned()];
    let mut at = 0;
    while at < needed.len() {
        for module in imports(&root, &needed[at]) {
            if !needed.contains(&module) {
                needed.push(module);
            }
        }
        at += 1;
    }
    let mut needed: Vec<_> = needed.split_off(1);
    needed.sort();
    let page = std::fs::read_to_string(root.join("index.html")).expect("the page");
    let named = page.split("<link rel=\"modulepreload\" href=\"/console/").skip(1);
    let mut named: Vec<_> = named.filter_map(|rest| rest.split('"').next()).collect();
    named.sort_unstable();
    assert_eq!(named, needed);
    assert!(needed.len() > 5, "{needed:?}");
}

/// Text is never HTML in the console, and it is small: all of it is less than 100 KB on the way.
#[tokio::test]
async fn the_console_parses_no_html_and_is_small() {
    let bag = bag(Jumpbag::options()).await;
    let root = repository().join("console");
    let mut bytes = 0;
    for path in sources(&root) {
        let text = std::fs::read_to_string(&path).expect("a text");
        for bad in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
            "http://",
            "https://",
        ] {
            let svg = bad == "http://" && text.contains("http://www.w3.org/2000/svg");
            assert!(svg || !text.contains(bad), "`{bad}` in {}", path.display());
        }
        if path.extension().is_none_or(|end| end == "json") {
            continue;
        }
        let name = path.strip_prefix(&root).expect("below it").display().to_string();
        let request = bag
            .anonymous()
            .get(&format!("/console/{name}"))
            .with(|request| request.header("accept-encoding", "gzip"));
        bytes += request.response().await.expect("an answer").content_length().unwrap_or(0);
    }
    assert!(bytes > 5_000 && bytes < 100_000, "{bytes} bytes");
}

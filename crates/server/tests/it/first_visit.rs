//! The very first visit: the link that the first start prints makes the first user, once.

use serde_json::json;

use crate::console::{begin_at, ends_well};
use crate::sign_in::{PASSWORD, add_user, at_the_console, users};
use crate::support::browser::{Browser, Shown};
use crate::support::server::Jumpbag;

/// The path of the link that the server printed.
fn link(bag: &Jumpbag) -> String {
    let (said, url) = (bag.said(), bag.url());
    let path = said.lines().find_map(|line| line.trim().strip_prefix(&url));
    path.filter(|path| path.starts_with("/setup?code=jb_"))
        .unwrap_or_else(|| panic!("no link: {said}"))
        .to_owned()
}

fn filled<'a>(name: &'a str, password: &'a str, again: &'a str) -> [(&'a str, &'a str); 4] {
    [("username", name), ("display_name", ""), ("password", password), ("again", again)]
}

async fn make(browser: &mut Browser, link: &str, name: &str) -> Shown {
    let page = browser.get(link).await;
    assert_eq!(page.answer.status, 200, "{}", page.answer.text());
    browser.submit(link, &page, &filled(name, PASSWORD, PASSWORD)).await
}

#[tokio::test]
async fn the_link_of_a_first_start_makes_a_user_who_is_in() {
    let bag = Jumpbag::start().await;
    let link = link(&bag);
    let mut browser = Browser::new(bag.anonymous());
    let sign_in = browser.get("/signin").await.answer.text();
    assert!(sign_in.contains("Nobody can sign in yet") && sign_in.contains("users add"), "{sign_in}");
    assert!(!sign_in.contains("name=\"password\""), "{sign_in}");

    assert_eq!(make(&mut browser, &link, "ada@contoso.example").await.sent_to(), "/");
    let who = browser.calls(bag.anonymous().get("/session")).await.expect_status(200).json();
    assert_eq!(who["name"], "ada@contoso.example");
    let permissions: Vec<_> =
        who["permissions"].as_array().expect("a list").iter().filter_map(|p| p.as_str()).collect();
    for permission in ["Library.Manage", "Machine.ReadWrite", "Machine.LiveResponse", "Audit.Read"] {
        assert!(permissions.contains(&permission), "{permissions:?}");
    }
    // The password is the one that was typed.
    at_the_console(&bag, "ada@contoso.example").await;

    let log = bag.caller(&["Audit.Read"]).await.get("/api/audit?$filter=action eq 'user.add'").await;
    let entry = &log.expect_status(200).value()[0];
    assert_eq!((&entry["target"], &entry["actorId"]), (&json!("ada@contoso.example"), &json!("setup")));
    assert!(entry["address"].is_string() && !entry.to_string().contains("argon2"), "{entry}");
}

#[tokio::test]
async fn heavy_from_a_first_start_to_the_first_upload_in_a_browser() {
    let bag = Jumpbag::start().await;
    ends_well(begin_at(&bag.url(), "first-visit", "-", &[&link(&bag)])).await;
}

#[tokio::test]
async fn the_link_counts_once_and_for_the_first_user_only() {
    let bag = Jumpbag::start().await;
    let link = link(&bag);
    let (mut one, mut two) = (Browser::new(bag.anonymous()), Browser::new(bag.anonymous()));
    let (first, second) = (one.get(&link).await, two.get(&link).await);
    let (ada, bob) = (filled("ada", PASSWORD, PASSWORD), filled("bob", PASSWORD, PASSWORD));
    let both = tokio::join!(one.submit(&link, &first, &ada), two.submit(&link, &second, &bob));
    let mut statuses = [both.0.answer.status, both.1.answer.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 403]);
    let shown = one.get(&link).await;
    assert_eq!(shown.answer.status, 403);
    assert!(shown.alert().expect("why").contains("users add NAME"));
    // Not again either when that user is gone.
    let listed: Vec<serde_json::Value> =
        serde_json::from_str(&users(&bag, &["list", "--json"]).await).expect("a list");
    assert_eq!(listed.len(), 1);
    users(&bag, &["remove", listed[0]["name"].as_str().expect("a name")]).await;
    assert_eq!(one.get(&link).await.answer.status, 403);
    // A restart prints none.
    bag.restart().await;
    assert!(!bag.said().contains("/setup"), "{}", bag.said());
}

#[tokio::test]
async fn whoever_has_no_link_or_types_nonsense_makes_nobody() {
    let bag = Jumpbag::start().await;
    let link = link(&bag);
    let mut browser = Browser::new(bag.anonymous());
    for wrong in ["/setup", "/setup?code=", "/setup?code=jb_x", "/setup?code=%00"] {
        assert_eq!(browser.get(wrong).await.answer.status, 403, "{wrong}");
    }
    let page = browser.get(&link).await;
    for (name, password, again, why) in [
        ("ada", "correct horse", "correct horse battery", "not the same"),
        ("ada", "short", "short", "fewer than 12 characters"),
        ("a b", PASSWORD, PASSWORD, "expected up to 128 letters"),
        ("", PASSWORD, PASSWORD, "expected up to 128 letters"),
    ] {
        let shown = browser.submit(&link, &page, &filled(name, password, again)).await;
        assert_eq!(shown.answer.status, 400);
        assert!(shown.alert().expect("why").contains(why), "{:?}", shown.alert());
        // What was typed is still there, but for the passwords.
        assert_eq!(shown.fields["username"], name);
        assert_eq!(shown.fields["password"], "");
    }
    // Another site's form, or another code, makes nobody.
    let foreign = [("sec-fetch-site", "cross-site")];
    let shown = browser.submit_as(&link, &page, &filled("ada", PASSWORD, PASSWORD), &foreign).await;
    assert_eq!(shown.answer.status, 403);
    let mut other = filled("ada", PASSWORD, PASSWORD).to_vec();
    other.push(("setup", "jb_another"));
    assert_eq!(browser.submit(&link, &page, &other).await.answer.status, 403);
    assert_eq!(users(&bag, &["list", "--json"]).await.trim(), "[]");
    // Somebody who was added in another way ends it.
    add_user(&bag, "bob", &[]).await;
    assert_eq!(browser.get(&link).await.answer.status, 403);
}

#[tokio::test]
async fn an_installation_that_was_begun_otherwise_prints_no_link() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let options = Jumpbag::options();
    let (status, _, stderr) =
        options.run(&data, &["clients", "add", "soar", "--permission", "Library.Manage"]).await;
    assert!(status.success(), "{stderr}");
    let bag = Jumpbag::options().data_dir(&data).start().await;
    assert!(!bag.said().contains("/setup"), "{}", bag.said());
}

//! File names that no library holds, in forms and in paths.

use super::{Ground, STAGED, assert_refused};
use crate::support::form::Form;
use crate::support::postgres::postgres_database;
use crate::support::server::Jumpbag;

const EMPTY: &str = "the file name is empty; it must have 1 to 255 bytes";
const DOTS: &str = "the file name is `.` or `..`, which means a folder; a file needs a name of its own";
const SLASH: &str = "the file name holds the path separator `/`; send the bare name without folders";
const BACKSLASH: &str = "the file name holds the path separator `\\`; send the bare name without folders";
const EDGE: &str = "the file name begins or ends in a space or a dot; remove it";

fn control(code: &str) -> String {
    format!("the file name holds the control character U+{code}; only visible characters are allowed")
}

fn device(name: &str) -> String {
    format!(
        "the file name is `{name}`, a device on Windows with or without an extension; choose another name"
    )
}

fn too_long(bytes: usize) -> String {
    format!("the file name has {bytes} bytes of UTF-8; at most 255 are allowed")
}

/// The name between the quotes of the part's header, and what it is told.
fn forbidden() -> Vec<(String, String)> {
    let fixed = [
        ("", EMPTY),
        (".", DOTS),
        ("..", DOTS),
        ("../a.ps1", SLASH),
        ("/etc/passwd", SLASH),
        ("folder/a.ps1", SLASH),
        ("a.ps1/", SLASH),
        ("C:\\x\\a.ps1", BACKSLASH),
        ("..\\a.ps1", BACKSLASH),
        (" a.ps1", EDGE),
        ("a.ps1 ", EDGE),
        ("\u{a0}a.ps1", EDGE),
        (".profile", EDGE),
        ("a.ps1.", EDGE),
        ("...", EDGE),
    ];
    let fixed = fixed.map(|(name, message)| (name.to_string(), message.to_string()));
    let controls = [
        ("a\tb.ps1", "0009"),
        ("a\0.ps1", "0000"),
        ("a\u{7f}.ps1", "007F"),
        ("a\u{85}.ps1", "0085"),
        ("evil\u{202e}1sp.exe", "202E"),
        ("a\u{2066}.ps1", "2066"),
        ("a\u{2028}.ps1", "2028"),
        ("\u{feff}a.ps1", "FEFF"),
    ];
    let controls = controls.map(|(name, code)| (name.to_string(), control(code)));
    let devices = [
        ("CON", "CON"),
        ("nul.txt", "nul"),
        ("Com1.ps1", "Com1"),
        ("lpt³.ps1", "lpt³"),
        ("CONIN$", "CONIN$"),
        ("aux.tar.gz", "aux"),
        ("nul .txt", "nul"),
    ];
    let devices = devices.map(|(name, shown)| (name.to_string(), device(shown)));
    let long = [("n".repeat(256), too_long(256)), ("é".repeat(128), too_long(256))];
    fixed.into_iter().chain(controls).chain(devices).chain(long).collect()
}

#[tokio::test]
async fn each_forbidden_name_is_told_its_rule() {
    let ground = Ground::start().await;
    for (name, message) in forbidden() {
        // The name is refused before the content is looked at, and after fields that are fine.
        let form = Form::new().field("Description", "d").file(name.replace('"', "%22"), vec![b'n'; STAGED]);
        let answer = ground.post(Some(Form::CONTENT_TYPE), form.end()).await;
        ground.refuses(&format!("{name:?}"), answer, 400, "InvalidInput", &message).await;
    }
    // As long as may be, and beyond what only the strict rule refuses.
    for name in ["n".repeat(255), "a b (1) & €, 'x'.ps1".into(), "%20%41.ps1".into()] {
        let form = Form::new().file(&name, "fine").end();
        let answer = ground.post(Some(Form::CONTENT_TYPE), form).await.expect_status(200);
        assert_eq!(answer.json()["fileName"], name);
    }
}

#[tokio::test]
async fn wrapped_names_are_judged_by_what_they_mean() {
    let ground = Ground::start().await;
    let heads = [
        ("filename*=utf-8''..%2Fa.ps1", SLASH),
        ("filename*=utf-8''%2E%2E", DOTS),
        ("filename=\"fine.ps1\"; filename*=utf-8''..%5Ca.ps1", BACKSLASH),
        ("filename=\"=?utf-8?B?Li4vYS5wczE=?=\"", SLASH),
        ("filename=..\\a.ps1", BACKSLASH),
        // Two backslashes are one, and one before anything else is itself.
        ("filename=\"C:\\\\x\\\\a.ps1\"", BACKSLASH),
    ];
    for (head, message) in heads {
        let form = Form::new().part(format!("Content-Disposition: form-data; name=\"file\"; {head}"), "x");
        let answer = ground.post(Some(Form::CONTENT_TYPE), form.end()).await;
        ground.refuses(head, answer, 400, "InvalidInput", message).await;
    }
}

#[tokio::test]
async fn strict_names_are_what_the_originals_portal_takes() {
    let ground = Ground::with(Jumpbag::options().set("strict_names", true)).await;
    for (name, found) in
        [("a b.ps1", " "), ("ü.ps1", "ü"), ("a+b.ps1", "+"), ("a%20b.ps1", "%"), ("a(1).ps1", "(")]
    {
        let message = format!(
            "the file name holds `{found}`; only letters A to Z, digits, `-`, `_` and `.` are allowed here"
        );
        let form = Form::new().file(name, vec![b'n'; STAGED]).end();
        let answer = ground.post(Some(Form::CONTENT_TYPE), form).await;
        ground.refuses(name, answer, 400, "InvalidInput", &message).await;
    }
    ground.bag.upload("Get-It_2.0.ps1", "fine").await.expect_status(200);
}

/// Names in a path are decoded once, and one that cannot be a file's is no file's.
#[tokio::test]
async fn paths_that_name_nothing() {
    let database = postgres_database().await;
    let on_postgres = Jumpbag::options().set("database_url", &database.url);
    for ground in [Ground::start().await, Ground::with(on_postgres).await] {
        for (path, name) in [
            ("absent.ps1", "absent.ps1"),
            ("kept%252Eps1", "kept%2Eps1"),
            ("%256bept.ps1", "%6bept.ps1"),
            ("kept.ps1%00", "kept.ps1\0"),
            ("%00", "\0"),
            ("..%2Fkept.ps1", "../kept.ps1"),
            ("kept.ps1%20", "kept.ps1 "),
            ("%27%20or%201=1--", "' or 1=1--"),
        ] {
            let (path, message) =
                (format!("/api/libraryfiles/{path}"), format!("Library file {name} was not found"));
            for answer in [ground.client.delete(&path).await, ground.client.get(&path).await] {
                ground.refuses(&path, answer, 404, "ResourceNotFound", &message).await;
            }
        }
        let long = "n".repeat(10_000);
        let answer = ground.client.delete(&format!("/api/libraryfiles/{long}")).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (404, "ResourceNotFound"));
        for path in ["/api/libraryfiles/%FF", "/api/libraryfiles/kept%C3.ps1"] {
            let answer = ground.client.delete(path).await;
            let message = "the file name in the path is not UTF-8 when decoded";
            assert_refused(path, &answer, 400, "InvalidInput", message);
        }
        let answer = ground.client.delete("/api/libraryfiles/folder/kept.ps1").await;
        assert_eq!((answer.status, answer.error_code().as_str()), (404, "NotFound"));
        ground.unchanged("paths").await;
        // Decoded once, it is this file.
        ground.client.delete("/api/libraryfiles/%4BEPT%2Eps1").await.expect_status(204);
        assert!(ground.bag.names().await.is_empty());
    }
}

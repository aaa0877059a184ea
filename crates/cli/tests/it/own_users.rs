//! A user of jumpbag's own signs in by device code, without an app registration, and works.

use std::process::Stdio;

use regex_lite::Regex;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::program::Home;
use crate::server::Jumpbag;

const PASSWORD: &str = "correct horse battery";

/// What the user does in a browser: signs in, sees the code, says yes.
async fn approve(url: &str, code: &str) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let http = reqwest::Client::new();
    let page = format!("{url}/device");
    let shown = http.get(&page).send().await.expect("the page");
    let mut cookies = vec![cookie(&shown)];
    let html = shown.text().await.expect("HTML");
    let token = Regex::new(r#"name="form_token" value="([^"]*)""#).expect("a valid pattern");
    let token = token.captures(&html).expect("a form")[1].to_owned();
    for fields in [
        [("decision", "sign-in"), ("username", "ada@contoso.example"), ("password", PASSWORD)],
        [("decision", "approve"), ("", ""), ("", "")],
    ] {
        let fields: Vec<_> =
            fields.into_iter().chain([("user_code", code), ("form_token", token.as_str())]).collect();
        let sent = http.post(&page).header("cookie", cookies.join("; ")).form(&fields).send();
        let answer = sent.await.expect("an answer");
        if fields[0].1 == "sign-in" {
            cookies.push(cookie(&answer));
        } else {
            let html = answer.text().await.expect("HTML");
            assert!(html.contains("It is connected"), "{html}");
        }
    }
}

fn cookie(answer: &reqwest::Response) -> String {
    assert!(answer.status().is_success(), "{}", answer.status());
    let line = answer.headers()["set-cookie"].to_str().expect("a cookie in ASCII");
    line.split(';').next().expect("name and value").to_owned()
}

#[tokio::test]
async fn a_user_signs_in_without_an_app_registration() {
    let server = Jumpbag::start().await;
    server.user("ada@contoso.example", PASSWORD, &["Library.Manage"]).await;
    let home = Home::new();
    let arguments = ["login", "--url", server.url(), "--device-code"];
    let mut login = home.command(&arguments).stderr(Stdio::inherit()).spawn().expect("it starts");
    let mut lines = BufReader::new(login.stdout.take().expect("it is piped")).lines();
    let prompt = lines.next_line().await.expect("a line").expect("it asks the user");
    assert!(prompt.contains(&format!("{}/device", server.url())), "{prompt}");
    approve(server.url(), prompt.rsplit(' ').next().expect("the code is the last word")).await;
    let said = lines.next_line().await.expect("a line").expect("it says who signed in");
    assert!(said.contains("as ada@contoso.example"), "{said}");
    assert!(login.wait().await.expect("its status").success());
    home.write("a.ps1", "x");
    home.quietly(&["files", "upload", "a.ps1"]).await.expect(0);
    let who = home.quietly(&["whoami", "--json"]).await.expect(0).json();
    assert_eq!(
        (who["user"].as_str(), who["permissions"][0].as_str()),
        (Some("ada@contoso.example"), Some("Library.Manage"))
    );
    // All at once need a new token, by a refresh token that is good once.
    std::fs::remove_file(home.config("tokens.json")).expect("the tokens that were kept");
    let lists = (0..6).map(|_| home.quietly(&["files", "list"]));
    for ran in futures_util::future::join_all(lists).await {
        ran.expect(0);
    }
}

#[tokio::test]
async fn elsewhere_and_otherwise_a_registration_is_needed() {
    for arguments in [
        vec!["login", "--url", "http://127.0.0.1:1", "--tenant", "t"],
        vec!["login", "--url", "http://127.0.0.1:1", "--authority", "http://127.0.0.1:2", "--device-code"],
        vec!["login", "--cloud", "commercial", "--tenant", "t", "--device-code"],
    ] {
        let ran = Home::new().quietly(&arguments).await.expect(2);
        assert!(ran.stderr.contains("--client-id"), "{arguments:?}: {}", ran.stderr);
    }
}

//! Secrets on the disk and in messages, and two runs at once.

use std::os::unix::fs::PermissionsExt as _;

use super::hostile::{Hostile, json};
use crate::program::Home;

async fn issuer() -> Hostile {
    Hostile::start(|_| json(200, r#"{"value":[]}"#)).await
}

async fn login(home: &Home, issuer: &Hostile, profile: &str) -> i32 {
    let url = issuer.url();
    let arguments = ["login", "--url", url, "--tenant", "tenant", "--client-id", "c", "--profile", profile];
    home.run_with(&arguments, b"s3cret").await.code
}

#[tokio::test]
async fn a_damaged_file_of_profiles_shows_no_secret() {
    let issuer = issuer().await;
    let home = Home::new();
    assert_eq!(login(&home, &issuer, "a").await, 0);
    let path = home.config("profiles.toml");
    let text = std::fs::read_to_string(&path).expect("profiles");
    assert!(text.contains("s3cret"));
    for damaged in [
        text.replace("\"s3cret\"", "\"s3cret"),
        text.replace("\"s3cret\"", "s3cret"),
        text.replace("client_secret", "secret"),
    ] {
        std::fs::write(&path, damaged).expect("write");
        let ran = home.run(&["whoami"]).await;
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(!ran.stderr.contains("s3cret") && ran.stderr.contains("line"), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_logout_forgets_the_token_too() {
    let issuer = issuer().await;
    let home = Home::new();
    assert_eq!((login(&home, &issuer, "a").await, login(&home, &issuer, "b").await), (0, 0));
    let tokens = || std::fs::read_to_string(home.config("tokens.json")).expect("tokens");
    assert!(tokens().contains("\"a\"") && tokens().contains("\"b\""), "{}", tokens());
    assert_eq!(home.run(&["logout", "--profile", "a"]).await.code, 0);
    assert!(!tokens().contains("\"a\"") && tokens().contains("\"b\""), "{}", tokens());
}

#[tokio::test]
async fn sign_ins_at_once_are_all_kept_and_nobody_else_can_read_them() {
    let issuer = issuer().await;
    let home = Home::new();
    // What a run that was killed left.
    std::fs::create_dir_all(home.config("")).expect("a folder");
    std::fs::set_permissions(home.config(""), std::fs::Permissions::from_mode(0o700)).expect("its owner's");
    for name in [".profiles.toml.new", ".tokens.json.new"] {
        std::fs::write(home.config(name), "s3cret").expect("write");
    }
    let names: Vec<String> = (0..12).map(|number| format!("p{number}")).collect();
    let all = futures_util::future::join_all(names.iter().map(|name| login(&home, &issuer, name))).await;
    assert_eq!(all, [0; 12]);
    let text = std::fs::read_to_string(home.config("profiles.toml")).expect("profiles");
    for name in &names {
        assert!(text.contains(&format!("[profiles.{name}]")), "{name}: {text}");
    }
    let entries: Vec<_> = std::fs::read_dir(home.config("")).expect("a folder").collect();
    assert_eq!(entries.len(), 3, "{entries:?}");
    for entry in entries {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
    }
    let mode = home.config("").metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}

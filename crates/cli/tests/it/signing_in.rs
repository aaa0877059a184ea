//! `login`, `whoami`, `logout`: every way to prove who one is, and what is said when it does not work.

use std::os::unix::fs::PermissionsExt as _;

use crate::assert_transcript;
use crate::original::Original;
use crate::program::Home;
use crate::server::Jumpbag;

#[tokio::test]
async fn a_secret_is_typed_once() {
    let server = Jumpbag::start().await;
    let place = server.librarian().await;
    let home = Home::new();
    home.run(&["files", "list"]).await;
    let arguments = ["login", "--url", &place.url, "--client-id", &place.client_id];
    home.run_with(&arguments, b"wrong\n").await;
    home.run(&["whoami"]).await;
    home.run_with(&arguments, b"").await;
    home.run_with(&arguments, place.client_secret.as_bytes()).await;
    home.run(&["whoami"]).await;
    for file in ["profiles.toml", "tokens.json"] {
        let mode = std::fs::metadata(home.config(file)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(std::fs::metadata(home.config("")).unwrap().permissions().mode() & 0o777, 0o700);
    home.run(&["files", "list"]).await;
    home.run(&["--profile", "other", "files", "list"]).await;
    home.run(&["logout"]).await;
    home.run(&["whoami"]).await;
    assert!(!std::fs::read_to_string(home.config("profiles.toml")).unwrap().contains("jb_"));
    let transcript = home.transcript();
    assert!(!transcript.contains(&place.client_secret));
    assert_transcript!(home);
}

/// A token is asked for once, is kept, and is nobody else's.
#[tokio::test]
async fn a_token_is_kept_until_it_is_refused() {
    let original = Original::start().await;
    let home = Home::new();
    let tenant = original.tenant();
    let login = ["login", "--url", original.url(), "--tenant", tenant, "--client-id", original.client_id()];
    home.run_with(&login, original.client_secret().as_bytes()).await.expect(0);
    let tokens = || original.calls().iter().filter(|call| call.ends_with("/token")).count();
    home.run(&["files", "list"]).await.expect(0);
    home.run(&["files", "list"]).await.expect(0);
    assert_eq!(tokens(), 1);
    original.forget_tokens();
    home.run(&["files", "list"]).await.expect(0);
    assert_eq!(tokens(), 2, "one new token for the one that was refused");
    home.run(&["files", "list"]).await.expect(0);
    assert_eq!(tokens(), 2);
}

#[tokio::test]
async fn a_server_that_refuses_every_token_is_asked_twice() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    original.fail("GET /api/libraryfiles", crate::original::Fault::Status(401)).times(100);
    let ran = home.run(&["files", "list"]).await.expect(1);
    assert!(ran.stderr.contains("401 Unauthorized"), "{}", ran.stderr);
    assert_eq!(original.count("GET /api/libraryfiles"), 2);
}

fn certificate(home: &Home) -> (String, String) {
    let key =
        rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).expect("a key");
    let certificate =
        rcgen::CertificateParams::new(["app".to_owned()]).unwrap().self_signed(&key).expect("a certificate");
    home.write("app.pem", format!("{}{}", certificate.pem(), key.serialize_pem()));
    home.write("certificate.pem", certificate.pem());
    home.write("key.pem", key.serialize_pem());
    home.write("other.pem", "no certificate\n");
    (certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_certificate_instead_of_a_secret() {
    let original = Original::start().await;
    let home = Home::new();
    let (pem, _) = certificate(&home);
    original.trust_certificate(&pem);
    let base = [
        "login",
        "--url",
        original.url(),
        "--tenant",
        original.tenant(),
        "--client-id",
        original.client_id(),
    ];
    let with = |more: &[&'static str]| [&base[..], more].concat();
    home.quietly(&with(&["--certificate", "app.pem"])).await.expect(0);
    home.quietly(&["files", "list"]).await.expect(0);
    home.quietly(&with(&["--certificate", "certificate.pem", "--certificate-key", "key.pem"]))
        .await
        .expect(0);
    for (files, says) in [
        (&["--certificate", "certificate.pem"][..], "holds no RSA private key in PEM"),
        (&["--certificate", "other.pem"], "holds no certificate in PEM"),
        (&["--certificate", "nowhere.pem"], "No such file"),
    ] {
        let ran = home.quietly(&with(files)).await;
        assert!(ran.code != 0 && ran.stderr.contains(says), "{files:?}: {}", ran.stderr);
    }
    // What did not work has not taken the place of what did.
    home.quietly(&["files", "list"]).await.expect(0);
}

/// jumpbag's own issuer takes the same assertions.
#[tokio::test]
async fn a_certificate_at_jumpbags_issuer() {
    let server = Jumpbag::start().await;
    let home = Home::new();
    certificate(&home);
    let file = home.path("certificate.pem").display().to_string();
    let add = [
        "clients",
        "add",
        "by certificate",
        "--permission",
        "Library.Manage",
        "--certificate",
        &file,
        "--json",
    ];
    let added: serde_json::Value = serde_json::from_str(&server.admin(&add).await).expect("JSON");
    let (tenant, id) = (added["tenant"].as_str().unwrap(), added["client_id"].as_str().unwrap());
    let login = ["login", "--url", server.url(), "--client-id", id, "--certificate", "app.pem"];
    for more in [&[][..], &["--tenant", tenant]] {
        home.quietly(&[&login[..], more].concat()).await.expect(0);
        home.quietly(&["files", "list"]).await.expect(0);
        home.quietly(&["logout"]).await.expect(0);
    }
}

/// An installation has one tenant: nobody has to know which, with a profile or without.
#[tokio::test]
async fn the_address_is_all_that_is_said_of_jumpbag() {
    let server = Jumpbag::with_tls().await;
    let place = server.librarian().await;
    let file = server.ca_file().display().to_string();
    let login = ["login", "--url", &place.url, "--client-id", &place.client_id, "--ca-file", &file];
    let home = Home::new();
    home.run_with(&login, place.client_secret.as_bytes()).await.expect(0);
    home.quietly(&["files", "list"]).await.expect(0);
    let who = home.quietly(&["whoami", "--json"]).await.expect(0).json();
    assert_eq!(who["tenant"], place.tenant.as_str());
    Home::at(&place).env("JUMPBAG_TENANT", "").quietly(&["files", "list"]).await.expect(0);
}

/// Where it calls itself is not where one signs in: the secret stays here, until somebody says that it is right.
#[tokio::test]
async fn a_server_that_calls_itself_otherwise_gets_no_secret_unasked() {
    let server = Jumpbag::with(&[("public_url", "https://bag.example:444")], false).await;
    let place = server.librarian().await;
    let home = Home::at(&place).env("JUMPBAG_TENANT", "");
    let ran = home.quietly(&["files", "list"]).await.expect(1);
    assert!(
        ran.stderr.contains("the endpoint `https://bag.example:444/")
            && ran.stderr.contains("no secret goes"),
        "{}",
        ran.stderr
    );
    Home::at(&place).quietly(&["files", "list"]).await.expect(0);
}

#[tokio::test]
async fn a_user_signs_in_with_a_code() {
    let original = Original::options().scopes(&["Library.Manage"]).interval(0).start().await;
    let home = Home::new();
    let login = [
        "login",
        "--url",
        original.url(),
        "--tenant",
        original.tenant(),
        "--client-id",
        original.client_id(),
    ];
    let login = [&login[..], &["--device-code"]].concat();
    original.approve_device();
    let ran = home.quietly(&login).await.expect(0);
    assert!(ran.stdout.starts_with("Open ") && ran.stdout.contains(" and enter the code "), "{}", ran.stdout);
    home.quietly(&["files", "list"]).await.expect(0);
    let who = home.quietly(&["whoami", "--json"]).await.expect(0).json();
    assert!(who["user"].as_str().unwrap().contains('@'), "{who}");
    // The refresh token gets another one when the first is refused, and is kept when it changes.
    original.forget_tokens();
    home.quietly(&["files", "list"]).await.expect(0);
    original.forget_tokens();
    original.forget_refresh_tokens();
    let ran = home.quietly(&["files", "list"]).await.expect(1);
    assert!(ran.stderr.contains("`jumpbag login` again"), "{}", ran.stderr);
    original.decline_device();
    let ran = home.quietly(&login).await.expect(1);
    assert!(ran.stderr.contains("declined"), "{}", ran.stderr);
}

#[tokio::test]
async fn what_goes_wrong_names_what_would_be_right() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    home.run(&["files", "list", "--profile", "nobody"]).await;
    let wrong = |name: &str, value: &str| Home::at(&(&original).into()).env(name, value);
    for (name, value) in [
        ("JUMPBAG_CLIENT_SECRET", "wrong"),
        ("JUMPBAG_CLIENT_ID", "00000000-0000-0000-0000-000000000000"),
        ("JUMPBAG_TENANT", "nowhere.example"),
        ("JUMPBAG_URL", "http://192.0.2.1"),
        ("JUMPBAG_URL", "ftp://somewhere"),
        ("JUMPBAG_URL", "somewhere"),
        ("JUMPBAG_URL", "http://127.0.0.1:1"),
        ("JUMPBAG_CA_FILE", "/nowhere.pem"),
        ("JUMPBAG_TOKEN", "no.such.token"),
        ("JUMPBAG_CLIENT_SECRET", ""),
    ] {
        let other = wrong(name, value);
        let ran = other.run(&["files", "list"]).await;
        assert_ne!(ran.code, 0);
        home.note(&format!("{name}={value}\n{}", other.transcript()));
    }
    let nobody = Original::options().roles(&["Alert.Read.All"]).start().await;
    let other = Home::at(&(&nobody).into());
    other.run(&["files", "list"]).await;
    home.note(&other.transcript());
    assert_transcript!(home);
}

/// The presets of the original's clouds are what its documentation says.
#[tokio::test]
async fn a_cloud_is_an_address_and_an_authority() {
    let home = Home::new().env("JUMPBAG_CLOUD", "gcc-high").env("JUMPBAG_TOKEN", "opaque");
    let who = home.run(&["whoami", "--json"]).await.expect(0).json();
    assert_eq!(who["url"], "https://api-gov.securitycenter.microsoft.us");
    assert_eq!(who["authority"], "https://login.microsoftonline.us");
    let home = Home::new().env("JUMPBAG_CLOUD", "mars").env("JUMPBAG_TOKEN", "opaque");
    let ran = home.run(&["whoami"]).await.expect(2);
    assert!(ran.stderr.contains("these are commercial, us, eu"), "{}", ran.stderr);
}

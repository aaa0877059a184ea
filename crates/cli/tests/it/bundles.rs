//! `bundle` and `audit`: what is signed here is checked elsewhere, and nothing that was altered passes.

use crate::assert_transcript;
use crate::original::Original;
use crate::program::Home;
use crate::server::Jumpbag;

async fn stocked(home: &Home) {
    home.write("lib/triage.ps1", "Get-Process\n");
    home.write("lib/größe 1.sh", "#!/bin/sh\ndu -sh /\n");
    home.write("lib/tool.bin", vec![3; 300_000]);
    home.write(
        "lib/library.toml",
        "[files.\"triage.ps1\"]\ndescription = \"First\"\nparametersDescription = \"-Name\"\ntags = [\"triage\"]\n\
         platforms = [\"windows\"]\ncategory = \"Collect\"\ninstructions = \"Run it.\\nTwice.\"\n",
    );
}

#[tokio::test]
async fn a_library_goes_where_no_network_is() {
    let (here, there) = (Jumpbag::start().await, Jumpbag::start().await);
    let home = Home::at(&here.librarian().await);
    stocked(&home).await;
    home.quietly(&["sync", "lib", "--apply"]).await.expect(0);
    home.quietly(&["bundle", "key", "site.key", "--name", "example.org/site"]).await.expect(0);
    home.quietly(&["bundle", "key", "site.key"]).await.expect(1);
    home.quietly(&["bundle", "create", "all.bundle", "--key", "site.key"]).await.expect(0);
    home.quietly(&["bundle", "create", "again.bundle", "--key", "site.key"]).await.expect(0);
    assert_eq!(
        std::fs::read(home.path("all.bundle")).unwrap(),
        std::fs::read(home.path("again.bundle")).unwrap()
    );
    // A site without a network: nobody has signed in there.
    let public = public_key(&home).await;
    let offline = Home::new();
    std::fs::copy(home.path("all.bundle"), offline.path("all.bundle")).unwrap();
    offline.write("site.pub", &public);
    offline.run(&["bundle", "verify", "all.bundle", "--key", "site.pub"]).await;
    assert_transcript!(offline);
    // And its own server.
    let site = Home::at(&there.librarian().await);
    std::fs::copy(home.path("all.bundle"), site.path("all.bundle")).unwrap();
    let apply = |what: &'static str| {
        ["bundle", "apply", "all.bundle", "--key", public.as_str(), what].map(str::to_owned)
    };
    let run = async |what| {
        let arguments = apply(what);
        site.quietly(&arguments.each_ref().map(String::as_str)).await
    };
    run("--plan").await.expect(2);
    run("--apply").await.expect(0);
    run("--plan").await.expect(0);
    for name in ["triage.ps1", "größe 1.sh", "tool.bin"] {
        let facts = [
            "sha256",
            "description",
            "hasParameters",
            "parametersDescription",
            "tags",
            "platforms",
            "category",
            "instructions",
        ];
        let (mine, theirs) = (
            home.quietly(&["files", "show", name, "--json"]).await.json(),
            site.quietly(&["files", "show", name, "--json"]).await.json(),
        );
        for fact in facts {
            assert_eq!(mine[fact], theirs[fact], "{name}: {fact}");
        }
    }
}

/// The public key of the private one in the home's `site.key`, as `create` prints it.
async fn public_key(home: &Home) -> String {
    let ran = home
        .quietly(&["bundle", "create", "for-the-key.bundle", "--key", "site.key", "--dir", "lib"])
        .await
        .expect(0);
    ran.stdout.trim().rsplit_once("signed by ").expect("it says by which key").1.to_owned()
}

#[tokio::test]
async fn no_altered_bundle_passes() {
    let home = Home::new();
    stocked(&home).await;
    home.write("lib/tool.bin", vec![3; 3000]);
    let public = home.quietly(&["bundle", "key", "site.key"]).await.expect(0).stdout.trim().to_owned();
    home.quietly(&["bundle", "create", "good.bundle", "--key", "site.key", "--dir", "lib"]).await.expect(0);
    home.quietly(&["bundle", "verify", "good.bundle", "--key", &public]).await.expect(0);
    let good = std::fs::read(home.path("good.bundle")).unwrap();
    // Each byte that says anything: padding between the entries and behind the last one says nothing.
    let text = |at: usize| good[at.saturating_sub(1)] != 0 || good.get(at + 1).is_some_and(|byte| *byte != 0);
    let mut tried = 0;
    for at in (0..good.len()).step_by(37).filter(|at| good[*at] != 0 && text(*at)) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        home.write("bad.bundle", &bad);
        let ran = home.quietly(&["bundle", "verify", "bad.bundle", "--key", &public]).await.expect(1);
        assert!(ran.stderr.contains("is no good bundle"), "byte {at}: {}", ran.stderr);
        tried += 1;
    }
    assert!(tried > 50, "{tried}");
    for end in [0, 100, 512, 5000, good.len() / 2] {
        home.write("bad.bundle", &good[..end]);
        home.quietly(&["bundle", "verify", "bad.bundle", "--key", &public]).await.expect(1);
    }
    // Signed, and by somebody else.
    let other = home.quietly(&["bundle", "key", "other.key"]).await.expect(0).stdout.trim().to_owned();
    let ran = home.quietly(&["bundle", "verify", "good.bundle", "--key", &other]).await.expect(1);
    assert!(ran.stderr.contains("which is no key known here"), "{}", ran.stderr);
    home.quietly(&["bundle", "verify", "good.bundle", "--key", &other, "--key", &public]).await.expect(0);
    home.quietly(&["bundle", "verify", "good.bundle", "--key", "nonsense"]).await.expect(2);
    home.quietly(&["bundle", "verify", "lib/triage.ps1", "--key", &public]).await.expect(1);
}

#[tokio::test]
async fn a_bundle_is_applied_to_the_original_and_cannot_be_made_of_it() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    stocked(&home).await;
    let public = home.quietly(&["bundle", "key", "site.key"]).await.expect(0).stdout.trim().to_owned();
    home.quietly(&["bundle", "create", "some.bundle", "*.ps1", "--key", "site.key", "--dir", "lib"])
        .await
        .expect(0);
    home.quietly(&["bundle", "apply", "some.bundle", "--key", &public, "--apply"]).await.expect(0);
    let names: Vec<_> = original.files().into_iter().map(|file| file.file_name).collect();
    assert_eq!(names, ["triage.ps1"]);
    let ran = home.quietly(&["bundle", "create", "all.bundle", "--key", "site.key"]).await.expect(2);
    assert!(ran.stderr.contains("no downloads"), "{}", ran.stderr);
    assert!(!home.path("all.bundle").exists());
}

#[tokio::test]
async fn an_export_of_the_audit_log_is_verified_offline() {
    let server = Jumpbag::start().await;
    let home = Home::at(&server.librarian().await);
    home.write("a.ps1", "x");
    home.quietly(&["files", "upload", "a.ps1"]).await.expect(0);
    let key = server.admin(&["audit", "key"]).await;
    server.admin(&["audit", "export", &home.path("log.ndjson").display().to_string()]).await;
    let offline = Home::new();
    offline.write("log.ndjson", home.read("log.ndjson"));
    offline.write("key.pub", &key);
    let ran = offline.quietly(&["audit", "verify", "log.ndjson", "--key", "key.pub"]).await.expect(0);
    assert!(ran.stdout.starts_with("good: "), "{}", ran.stdout);
    let counted = offline
        .quietly(&["audit", "verify", "log.ndjson", "--key", key.trim(), "--json"])
        .await
        .expect(0)
        .json();
    assert!(counted["entries"].as_u64().unwrap() >= 3, "{counted}");
    offline.write("log.ndjson", home.read("log.ndjson").replace("a.ps1", "b.ps1"));
    let ran = offline.quietly(&["audit", "verify", "log.ndjson", "--key", key.trim()]).await.expect(1);
    assert!(ran.stderr.contains("altered"), "{}", ran.stderr);
}

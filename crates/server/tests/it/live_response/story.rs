//! What a new user does: enrol a machine, run a script on it, watch, fetch, cancel, and see work wait for a machine.

use std::io::Read as _;
use std::path::Path;

use http::Method;
use jumpbag_server::catalog::{Catalog, CatalogError};
use serde_json::json;

use super::agent::Agent;
use super::{act, ask, cancel, get_file, operator, options, param, put_file, reaches, result, script, show};
use crate::support::poll::eventually;
use crate::support::server::Jumpbag;

both_databases!(
    a_script_runs_with_its_arguments_as_they_are,
    output_is_followed_while_it_comes,
    files_go_there_in_order_and_come_back_compressed,
    the_first_command_that_fails_ends_the_action,
    a_cancelled_script_ends_with_all_it_started,
    work_waits_for_a_machine_that_is_away,
    an_action_runs_what_the_library_had_when_it_was_made,
);

async fn a_script_runs_with_its_arguments_as_they_are() {
    let bag = options().start().await;
    let mut agent = Agent::enrolled(&bag, &["--tag", "dmz"]).await;
    agent.start();
    let client = operator(&bag).await;
    let machine = client.get(&format!("/api/machines/{}", agent.machine)).await.expect_status(200).json();
    assert_eq!(machine["id"], agent.machine);
    assert_eq!(machine["machineTags"], json!(["dmz"]));
    assert_eq!((&machine["osPlatform"], &machine["healthStatus"]), (&json!("Linux"), &json!("Active")));
    let text = "#!/bin/sh\nfor a in \"$@\"; do printf '[%s]' \"$a\"; done\nprintf 'oh\\n' >&2\nexit 3\n";
    client.upload("args.sh", text).await.expect_status(200);
    let odd = ["a b", "", "$(id)", "`id`", "\"q\"", "it's", "é𝄞", "*", "-x", "a\nb", "\\", ";&|"];
    let list = json!({ "type": "RunScript", "params": [param("ScriptName", "ARGS.sh"), param("ArgsList", json!(odd))] });
    let one = json!({ "type": "RunScript", "params": [param("ScriptName", "args.sh"), param("Args", "-n \"two words\" '$x'")] });
    for (command, args) in [(list, odd.as_slice()), (one, &["-n", "two words", "$x"])] {
        let action =
            act(&client, &machine["computerDnsName"].as_str().expect("a name").to_uppercase(), &[command])
                .await;
        let done = eventually("it ends", async || {
            let shown = show(&client, &action).await;
            shown["commands"][0]["endTime"].is_string().then_some(shown)
        })
        .await;
        // What a script exits with decides.
        assert_eq!(done["status"], "Failed", "{done}");
        assert_eq!(done["commands"][0]["commandStatus"], "Failed");
        assert_eq!(done["commands"][0]["exitCode"], 3);
        let answer = result(&bag, &client, &action, 0).await;
        let expected: String = args.iter().map(|arg| format!("[{arg}]")).collect();
        let told = json!({ "script_name": "args.sh", "exit_code": 3, "script_output": expected, "script_errors": "oh\n" });
        assert_eq!(answer.json(), told);
    }
}

async fn output_is_followed_while_it_comes() {
    let bag = options().start().await;
    let agent = Agent::running(&bag).await;
    let client = operator(&bag).await;
    let go = agent.pipe("go");
    client
        .upload("two.sh", format!("#!/bin/sh\necho one\ncat '{}' >&2\necho two\n", go.0))
        .await
        .expect_status(200);
    let action = act(&client, &agent.machine, &[script("two.sh")]).await;
    let read = async |stream: &str, offset: u64| {
        let path = format!("/api/machineactions/{action}/commands/0/{stream}?offset={offset}");
        let answer = client.get(&path).await.expect_status(200);
        (answer.text(), answer.header("jumpbag-output-open").expect("whether it is open").to_owned())
    };
    eventually("the first line", async || {
        (read("stdout", 0).await == ("one\n".into(), "true".into())).then_some(())
    })
    .await;
    assert_eq!(reaches(&client, &action, "InProgress").await["commands"][0]["commandStatus"], "Executing");
    let early = format!("/api/machineactions/{action}/GetLiveResponseResultDownloadLink(index=0)");
    client.get(&early).await.expect_status(404);
    go.write("err").await;
    reaches(&client, &action, "Succeeded").await;
    assert_eq!(read("stdout", 0).await, ("one\ntwo\n".into(), "false".into()));
    assert_eq!(read("stdout", 5).await.0, "wo\n");
    assert_eq!(read("stdout", 99).await.0, "");
    assert_eq!(read("stderr", 0).await.0, "err");
    for path in ["commands/0/other", "commands/1/stdout", "commands/x/stdout"] {
        client.get(&format!("/api/machineactions/{action}/{path}")).await.expect_status(404);
    }
    let bad = format!("/api/machineactions/{action}/commands/0/stdout?offset=-1");
    assert_eq!(client.get(&bad).await.expect_status(400).error_code(), "InvalidInput");
}

async fn files_go_there_in_order_and_come_back_compressed() {
    let bag = options().start().await;
    let agent = Agent::running(&bag).await;
    let client = operator(&bag).await;
    let large: Vec<u8> = (0..700_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    client.upload("data.bin", large.clone()).await.expect_status(200);
    let copied = agent.beside("copied");
    client
        .upload(
            "copy.sh",
            format!("#!/bin/sh\ncat \"$JUMPBAG_FILES/data.bin\" \"$JUMPBAG_FILES/data.bin\" > '{copied}'\n"),
        )
        .await
        .expect_status(200);
    let commands = [put_file("data.bin"), script("copy.sh"), get_file(&copied)];
    let action = act(&client, &agent.machine, &commands).await;
    reaches(&client, &action, "Succeeded").await;
    let answer = result(&bag, &client, &action, 2).await;
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert!(answer.header("content-disposition").is_some_and(|name| name.contains("copied.gz")));
    let mut back = Vec::new();
    flate2::read::MultiGzDecoder::new(&answer.body[..]).read_to_end(&mut back).expect("gzip");
    assert!(back == [large.as_slice(), &large].concat(), "{} bytes", back.len());
    let put = result(&bag, &client, &action, 0).await.json();
    assert_eq!(put, json!({ "file_name": "data.bin", "errors": [] }));
    let folder =
        act(&client, &agent.machine, &[get_file(&agent.data().join("files").display().to_string())]).await;
    reaches(&client, &folder, "Succeeded").await;
    let name = result(&bag, &client, &folder, 0).await.header("content-disposition").map(str::to_owned);
    assert!(name.as_ref().is_some_and(|name| name.contains("\"files.tar.gz\"")), "{name:?}");
    // What did not fit into rows is part of a backup, and of a check.
    let folder = bag.data_dir().with_extension("backup");
    let (status, said, stderr) = bag.command(&["backup", &folder.display().to_string()]).await;
    assert!(status.success(), "{said}{stderr}");
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let data = elsewhere.path().join("data");
    let (status, said, stderr) =
        Jumpbag::options().run(&data, &["restore", &folder.display().to_string()]).await;
    assert!(status.success(), "{said}{stderr}");
    let lineages = async |file: &Path| {
        let catalog = Catalog::open_sqlite(file).await.expect("a catalog");
        let sql = "select count(lineage) from machines";
        let known: Result<i64, CatalogError> =
            catalog.read(move |tx| Box::pin(async move { tx.one(sql, &[]).await?.take() })).await;
        known.expect("a number")
    };
    let (kept, restored) =
        (lineages(&folder.join("catalog.db")).await, lineages(&data.join("catalog.db")).await);
    assert_eq!((kept, restored), (1, 0), "the machine comes back with what it has by now");
    let restored = Jumpbag::options().set("rate_limits", false).data_dir(&data).start().await;
    let again = result(&restored, &operator(&restored).await, &action, 2).await;
    assert!(again.body == answer.body, "what a command brought is the same after a restore");
    for server in [&bag, &restored] {
        let (status, said, _) = server.command(&["check"]).await;
        assert!(status.success(), "{said}");
    }
    let mut blobs: Vec<_> = std::fs::read_dir(data.join("blobs")).expect("blobs").flatten().collect();
    blobs.sort_by_key(|blob| blob.metadata().expect("its size").len());
    assert!(blobs.len() >= 2, "of the library file, and of what came back");
    std::fs::write(blobs[0].path(), "short").expect("a damaged blob");
    let (status, said, _) = restored.command(&["check"]).await;
    assert!(!status.success() && said.contains("instead of"), "{said}");
}

async fn the_first_command_that_fails_ends_the_action() {
    let bag = options().start().await;
    let agent = Agent::running(&bag).await;
    let client = operator(&bag).await;
    client.upload("a.txt", "a").await.expect_status(200);
    let (missing, never) = (agent.beside("missing"), agent.beside("never"));
    let commands = [put_file("a.txt"), get_file(&missing), get_file(&never)];
    let action = act(&client, &agent.machine, &commands).await;
    let failed = reaches(&client, &action, "Failed").await;
    let statuses: Vec<_> =
        failed["commands"].as_array().expect("commands").iter().map(|c| &c["commandStatus"]).collect();
    assert_eq!(statuses, ["Completed", "Failed", "Created"]);
    let errors = failed["commands"][1]["errors"].as_array().expect("errors");
    assert!(errors[0].as_str().is_some_and(|error| error.contains("missing")), "{errors:?}");
    // The machine is free again.
    let next = act(&client, &agent.machine, &[put_file("a.txt")]).await;
    reaches(&client, &next, "Succeeded").await;
}

async fn a_cancelled_script_ends_with_all_it_started() {
    let bag = options().start().await;
    let agent = Agent::running(&bag).await;
    let client = operator(&bag).await;
    let alive = agent.pipe("alive");
    let text = format!("#!/bin/sh\nexec 3>'{}'\necho begun >&3\nsetsid sleep 1000 &\nsleep 1000\n", alive.0);
    client.upload("long.sh", text).await.expect_status(200);
    let action = act(&client, &agent.machine, &[script("long.sh")]).await;
    let over = alive.read();
    reaches(&client, &action, "InProgress").await;
    // A comment is needed, and one that is not there does nothing.
    let path = format!("/api/machineactions/{action}/cancel");
    for body in [json!({}), json!({ "Comment": "" }), json!({ "Comment": 1 })] {
        client.json(Method::POST, &path, &body).await.expect_status(400);
    }
    let cancelled = cancel(&client, &action).await.expect_status(200).json();
    assert_eq!(
        (&cancelled["status"], &cancelled["cancellationComment"]),
        (&json!("Cancelled"), &json!("enough"))
    );
    assert!(
        cancelled["cancellationDateTimeUtc"].is_string() && cancelled["cancellationRequestor"].is_string()
    );
    assert_eq!(over.await, "begun\n");
    // Again changes nothing, and the machine does the next thing.
    assert_eq!(
        cancel(&client, &action).await.expect_status(200).json()["lastUpdateDateTimeUtc"],
        cancelled["lastUpdateDateTimeUtc"]
    );
    client.upload("a.txt", "a").await.expect_status(200);
    let next = act(&client, &agent.machine, &[put_file("a.txt")]).await;
    reaches(&client, &next, "Succeeded").await;
    assert_eq!(show(&client, &action).await["status"], "Cancelled");
}

async fn work_waits_for_a_machine_that_is_away() {
    let bag = options().start().await;
    let mut agent = Agent::running(&bag).await;
    let client = operator(&bag).await;
    client.upload("a.sh", "#!/bin/sh\necho here\n").await.expect_status(200);
    let first = act(&client, &agent.machine, &[script("a.sh")]).await;
    reaches(&client, &first, "Succeeded").await;
    agent.stop().await;
    let action = act(&client, &agent.machine, &[script("a.sh")]).await;
    assert_eq!(show(&client, &action).await["commands"][0]["commandStatus"], "Created");
    let busy = ask(&client, &agent.machine, &[script("a.sh")]).await.expect_status(400);
    assert_eq!(busy.error_code(), "ActiveRequestAlreadyExists");
    agent.start();
    reaches(&client, &action, "Succeeded").await;
    assert_eq!(result(&bag, &client, &action, 0).await.json()["script_output"], "here\n");
}

async fn an_action_runs_what_the_library_had_when_it_was_made() {
    let bag = options().start().await;
    let mut agent = Agent::enrolled(&bag, &[]).await;
    let client = operator(&bag).await;
    let first = client.upload("a.sh", "#!/bin/sh\necho first\n").await.expect_status(200).json();
    let action = act(&client, &agent.machine, &[script("A.SH")]).await;
    client.upload("a.sh", "#!/bin/sh\necho second\n").override_if_exists().await.expect_status(200);
    client.delete("/api/libraryfiles/a.sh").await.expect_status(204);
    let gone = client.get("/api/deletedlibraryfiles").await.expect_status(200).value();
    let path = format!("/api/deletedlibraryfiles/{}/purge", gone[0]["id"].as_str().expect("an id"));
    client.json(Method::POST, &path, &json!({ "reason": "a test" })).await.expect_status(204);
    // Another one cannot be made any more.
    let refused = ask(&client, &agent.machine, &[script("a.sh")]).await.expect_status(400);
    assert!(["ActiveRequestAlreadyExists", "InvalidInput"].contains(&refused.error_code().as_str()));
    agent.start();
    let done = reaches(&client, &action, "Succeeded").await;
    assert_eq!(result(&bag, &client, &action, 0).await.json()["script_output"], "first\n");
    let pinned = &done["commands"][0]["libraryFile"];
    assert_eq!(pinned["version"], 1);
    assert_eq!((&pinned["sha256"], &pinned["fileName"]), (&first["sha256"], &json!("a.sh")));
    let missing = ask(&client, &agent.machine, &[script("a.sh")]).await.expect_status(400);
    assert_eq!(missing.error_code(), "InvalidInput");
    assert!(missing.error_message().contains("a.sh"), "{}", missing.error_message());
}

//! `machines`, against the real server and the original.

use crate::agent::Agent;
use crate::assert_transcript;
use crate::original::{Fault, Original};
use crate::program::Home;
use crate::server::Jumpbag;

#[tokio::test]
async fn machines_of_the_original() {
    let original = Original::options().page(2).start().await;
    let home = Home::at(&(&original).into());
    home.run(&["machines", "list"]).await.expect(0);
    original.add_machine("web-1", &["dmz", "it's"]);
    original.add_machine("WEB-2", &["dmz"]);
    original.add_machine("db-1", &[]);
    home.run(&["machines", "list"]).await.expect(0);
    home.run(&["machines", "list", "Web-*"]).await.expect(0);
    home.run(&["machines", "list", "--tag", "it's"]).await.expect(0);
    let filter = "computerDnsName eq 'web-1' or computerDnsName eq 'db-1'";
    home.run(&["machines", "list", "--tag", "dmz", "--filter", filter]).await.expect(0);
    home.run(&["machines", "list", "--filter", "nonsense"]).await.expect(1);
    home.run(&["machines", "show", "web-1"]).await.expect(0);
    home.run(&["machines", "show", "web-9"]).await.expect(1);
    let tag = [
        "machines",
        "tag",
        "web-1",
        "web-9",
        "db-1",
        "--add",
        "new",
        "--add",
        "two words",
        "--remove",
        "dmz",
    ];
    home.quietly(&tag).await.expect(1);
    home.run(&["machines", "tag", "db-1"]).await.expect(2);
    home.run(&["machines", "list"]).await.expect(0);
    assert_eq!(original.tags("web-1"), ["it's", "new", "two words"]);
    assert_eq!(original.tags("db-1"), ["new", "two words"]);
    assert_transcript!(home);
}

#[tokio::test]
async fn a_tag_whose_answer_is_lost_is_added_again() {
    let original = Original::start().await;
    original.add_machine("web-1", &[]);
    let home = Home::at(&(&original).into());
    original.fail("POST /api/machines", Fault::DropAfter);
    home.run(&["machines", "tag", "web-1", "--add", "x"]).await.expect(0);
    assert_eq!(original.tags("web-1"), ["x"]);
}

/// The original says so where it has no machine.
#[tokio::test]
async fn no_machines_are_an_empty_list() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    assert_eq!(home.run(&["machines", "list", "--json"]).await.expect(0).stdout, "[]\n");
}

#[tokio::test]
async fn json_is_what_the_server_sent() {
    let server = Jumpbag::start().await;
    let agent = Agent::enrolled(&server, &["dmz"]).await;
    let home = Home::at(&server.place(&["Machine.ReadWrite.All"]).await);
    let list = home.run(&["machines", "list", "--tag", "dmz", "--json"]).await.expect(0);
    assert!(
        list.stdout.starts_with(&format!("[{{\"id\":\"{}\",\"mergedIntoMachineId\":null,", agent.machine))
    );
    let shown = home.run(&["machines", "show", &agent.machine, "--json"]).await.expect(0).json();
    assert_eq!(shown["machineTags"], serde_json::json!(["dmz"]));
    let tag = ["machines", "tag", &agent.machine, "--add", "größe", "--remove", "dmz", "--json"];
    let tagged = home.run(&tag).await.expect(0).json();
    assert_eq!(tagged[0]["machineTags"], serde_json::json!(["größe"]));
    let table = home.run(&["machines", "list"]).await.expect(0).stdout;
    assert!(table.contains(&agent.machine) && table.contains("größe"), "{table}");
    let may_not = Home::at(&server.place(&["Library.Manage"]).await);
    let ran = may_not.run(&["machines", "list"]).await.expect(1);
    assert!(ran.stderr.contains("403 Forbidden"), "{}", ran.stderr);
}

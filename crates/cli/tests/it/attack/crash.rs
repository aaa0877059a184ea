//! Runs that are killed in the middle: the next one goes on.

use crate::original::{Fault, Original};
use crate::program::Home;
use crate::until;

#[tokio::test]
async fn what_a_killed_sync_did_is_not_taken_for_somebody_elses() {
    let original = Original::start().await;
    let home = Home::at(&(&original).into());
    home.write("lib/a.sh", "1");
    home.write("lib/b.sh", "1");
    assert_eq!(home.run(&["sync", "lib", "--apply"]).await.code, 0);
    let before = home.read("lib/library.lock");
    home.write("lib/a.sh", "2");
    home.write("lib/b.sh", "2");
    original.fail("POST /api/libraryfiles", Fault::Hang).after(1);
    let mut killed = home.command(&["sync", "lib", "--apply", "--jobs", "1"]).spawn().expect("it starts");
    until(|| home.read("lib/library.lock") != before).await;
    killed.kill().await.expect("it is killed");
    original.mend();
    home.write("lib/a.sh", "3");
    let ran = home.run(&["sync", "lib", "--apply"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

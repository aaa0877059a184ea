//! The connection: lost, cut, away, through a proxy, over TLS; and nothing else.

use std::collections::HashSet;

use jumpbag_wire::action::CommandType;
use jumpbag_wire::agent::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::agent::{Agent, Witness, enroll};
use crate::proxy::{Proxy, Way};
use crate::server::lineage::Cut;
use crate::server::{Server, id};

/// Numbers over a wide range that look random and are the same each time.
fn budgets(count: usize, most: u64) -> Vec<i64> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count).map(|_| i64::try_from(next() % (1 << (next() % most.ilog2() as u64 + 1))).unwrap()).collect()
}

async fn through(proxy: &Proxy, server: &Server) -> Agent {
    let mut agent = Agent::enrolled(server).await;
    agent.change(|settings| settings.url = proxy.url());
    agent.start();
    agent
}

#[tokio::test]
async fn output_and_content_arrive_byte_for_byte_however_often_the_connection_is_cut() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address, budgets(60, 4 << 20)).await;
    let agent = through(&proxy, &server).await;
    let script = format!(
        "seq 1 800000; seq 1 1000 >&2\n{}",
        "# a script that is long enough to be cut on its way\n".repeat(60_000)
    );
    let command = server.script(&agent.machine, id(1, 0), "count.sh", &script, &[]);
    let outcome = server.finished(&command).await;
    assert!(outcome.succeeded, "{outcome:?}");
    let numbers = |end| (1..=end).map(|number| format!("{number}\n")).collect::<String>();
    assert!(server.text(&command, Stream::Stdout) == numbers(800_000));
    assert!(server.text(&command, Stream::Stderr) == numbers(1000));
    let path = agent.beside("random");
    let random: Vec<u8> =
        (0..2_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    std::fs::write(&path, random).unwrap();
    let mut get = server.assignment(&agent.machine, id(2, 0), CommandType::GetFile);
    get.path = Some(path.to_str().unwrap().to_owned());
    server.assign(&get);
    assert!(server.finished(&get.command).await.succeeded);
    let connections = proxy.connections.load(std::sync::atomic::Ordering::SeqCst);
    assert!(connections > 20, "only {connections} connections");
}

#[tokio::test]
async fn a_script_goes_on_while_the_server_is_away_and_its_end_is_told_when_it_is_back() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.address, Vec::new()).await;
    let agent = through(&proxy, &server).await;
    let (go, gone) = (Witness::named(&agent, "go"), Witness::named(&agent, "gone"));
    let watching = gone.watch();
    let script = "echo before; exec 3>\"$2\"; read line < \"$1\"; echo $line";
    let command = server.script(&agent.machine, id(1, 0), "a.sh", script, &[go.path(), gone.path()]);
    let queued = server.script(&agent.machine, id(1, 1), "b.sh", "echo queued", &[]);
    server.output_with(&command, "before\n").await;
    proxy.set(Way::Closed);
    go.tell("meanwhile\n").await;
    watching.await;
    proxy.set(Way::Open);
    assert!(server.finished(&command).await.succeeded);
    assert_eq!(server.text(&command, Stream::Stdout), "before\nmeanwhile\n");
    assert!(server.finished(&queued).await.succeeded);
    assert!(server.connections() >= 2);
}

/// An HTTP proxy that wants a user and a password.
async fn http_proxy() -> (String, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(from.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let target = head.split(' ').nth(1).unwrap().to_owned();
            let lets = head.contains("Proxy-Authorization: Basic bWU6cHc=");
            seen.lock().unwrap().push(head);
            if !lets {
                from.write_all(b"HTTP/1.1 407 No\r\n\r\n").await.unwrap();
                continue;
            }
            from.write_all(b"HTTP/1.1 200 Yes\r\nVia: test\r\n\r\n").await.unwrap();
            let mut to = TcpStream::connect(target).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    (address.to_string(), asked)
}

#[tokio::test]
async fn an_http_proxy_is_gone_through_when_enrolling_and_when_connecting() {
    let server = Server::start().await;
    let (address, asked) = http_proxy().await;
    let mut agent = Agent::enrolled(&server).await;
    let wrong = format!("http://me:wrong@{address}");
    let output = enroll(&server.url(), &server.token(), &agent.data(), &["--again", "--proxy", &wrong]).await;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("407") && !words.contains("wrong@"), "{words}");
    let right = format!("http://me:pw@{address}");
    let output = enroll(&server.url(), &server.token(), &agent.data(), &["--again", "--proxy", &right]).await;
    assert!(output.status.success(), "{output:?}");
    agent.refresh();
    agent.start();
    let command = server.script(&agent.machine, id(1, 0), "a.sh", "echo through", &[]);
    assert!(server.finished(&command).await.succeeded);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked.iter().all(|head| head.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", server.address))));
}

#[tokio::test]
async fn over_tls_only_a_trusted_server_is_spoken_to() {
    let server = Server::start().await;
    let (address, pem) = server.with_tls().await;
    let mut agent = Agent::enrolled(&server).await;
    let ca = agent.beside("ca.pem");
    std::fs::write(&ca, pem).unwrap();
    let url = format!("https://{address}");
    let output = enroll(&url, &server.token(), &agent.data(), &["--again"]).await;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("cannot speak TLS with `localhost`"), "{words}");
    let output =
        enroll(&url, &server.token(), &agent.data(), &["--again", "--ca", ca.to_str().unwrap()]).await;
    assert!(output.status.success(), "{output:?}");
    // The agent has a copy.
    std::fs::remove_file(&ca).unwrap();
    agent.refresh();
    agent.start();
    let command = server.script(&agent.machine, id(1, 0), "a.sh", "echo through", &[]);
    assert!(server.finished(&command).await.succeeded);
}

#[tokio::test]
async fn wherever_the_greeting_is_cut_off_the_agent_has_the_token_that_counts() {
    let server = Server::start().await;
    let mut agent = Agent::enrolled(&server).await;
    let cuts = [
        Cut::Offer,
        Cut::Confirmation,
        Cut::Confirmation,
        Cut::Offer,
        Cut::Afterwards,
        Cut::Offer,
        Cut::Confirmation,
        Cut::Offer,
        Cut::Afterwards,
        Cut::Afterwards,
    ];
    server.cut(agent.data().join("lineage"), &cuts);
    agent.start();
    server.connected(1).await;
    let shown: Vec<String> = server.shown().iter().map(|tokens| tokens.join(" ")).collect();
    let numbered: Vec<String> = shown.iter().map(|tokens| tokens.replace("token-", "")).collect();
    let expected = ["", "", "1", "1 2", "1 2", "1 2 3", "1 2 3", "3 4", "3 4", "3 4 5", "5 6"];
    assert_eq!(numbered, expected);
    agent.stop();
    agent.start();
    server.connected(2).await;
    assert_eq!(server.shown().last().unwrap().join(" "), "token-6 token-7");
    // What the disk lost is not made up for.
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(agent.data().join("lineage")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn the_agent_listens_to_nobody() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    server.connected(1).await;
    let sockets: HashSet<String> = std::fs::read_dir(format!("/proc/{}/fd", agent.pid()))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut established = 0;
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if sockets.contains(fields[9]) {
                assert_eq!((table, fields[3]), ("tcp", "01"), "{line}");
                established += 1;
            }
        }
    }
    assert_eq!(established, 1);
}

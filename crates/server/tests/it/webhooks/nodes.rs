//! Several servers on one database: one of them delivers, and another goes on when it dies.

use super::{add, names, options, told, upload};
use crate::support::postgres::postgres_database;
use crate::support::receiver::{Received, Receiver};

#[tokio::test]
async fn two_servers_deliver_every_event_once_and_in_order() {
    let database = postgres_database().await;
    let server = || options().set("database_url", &database.url).start();
    let (one, two) = (server().await, server().await);
    let receivers = [Receiver::start().await, Receiver::start().await];
    for receiver in &receivers {
        add(&one, receiver).await;
    }
    let all = names(0..40);
    tokio::join!(upload(&one, all[..20].to_vec()), upload(&two, all[20..].to_vec()));
    for receiver in &receivers {
        let received = receiver.count(40).await;
        let numbers: Vec<_> = received.iter().map(Received::number).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
        let mut told = told(&received);
        assert_eq!(told.len(), 40, "one was delivered twice: {numbers:?}");
        told.sort();
        let mut all = all.clone();
        all.sort();
        assert_eq!(told, all);
    }
    // One goes in order and leaves its leases: the other goes on.
    assert!(one.stop().await.success());
    upload(&two, names(40..50)).await;
    for receiver in &receivers {
        let received = receiver.count(50).await;
        assert_eq!(told(&received)[40..], names(40..50));
    }
}

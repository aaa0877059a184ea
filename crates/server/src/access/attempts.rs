//! Attempts, counted as failures before they are looked at, in the catalog: guesses at once, on other nodes or after a
//! restart gain nothing.

use std::net::{IpAddr, Ipv6Addr};

use jumpbag_wire::time::Timestamp;

use super::Access;
use crate::auth::secret::hash_secret;
use crate::catalog::{Tx, users as rows};
use crate::error::Error;
use jumpbag_wire::hex::hex;

/// Failures that cost nothing: of one name, and of one address.
const FREE_NAME: i64 = 5;
const FREE_ADDRESS: i64 = 20;
/// Codes of devices that one user may mistype.
const FREE_CODES: i64 = 5;
/// The longest wait between two attempts, in seconds, and when failures are forgotten.
const LONGEST_WAIT: i64 = 300;
pub(super) const MEMORY: i64 = 3600;

impl Access {
    /// Counts a device's code that somebody types.
    pub(super) async fn count_code(&self, user: &str, now: Timestamp) -> Result<Option<i64>, Error> {
        self.count([(hex(&hash_secret(&format!("code {user}"))), FREE_CODES)], now).await
    }

    /// It was a right one.
    pub(super) async fn forgive_code(&self, user: &str, now: Timestamp) -> Result<(), Error> {
        let subject = hex(&hash_secret(&format!("code {user}")));
        let forgive = self.catalog.write(move |tx| {
            Box::pin(async move { Ok::<_, Error>(rows::set_failures(tx, &subject, 0, now).await?) })
        });
        forgive.await
    }

    /// Counts a sign-in elsewhere that an address brings back.
    pub(super) async fn count_address(&self, address: IpAddr, now: Timestamp) -> Result<Option<i64>, Error> {
        let [_, network] = subjects("", address);
        self.count([network], now).await
    }

    /// It was a good one. The address keeps its other failures.
    pub(super) async fn forgive_address(&self, address: IpAddr, now: Timestamp) -> Result<(), Error> {
        let [_, (network, _)] = subjects("", address);
        self.catalog.write(move |tx| Box::pin(async move { forgive_one(tx, &network, now).await })).await
    }

    /// Counts an attempt as a failure, which it is until it succeeds; or says how long to wait.
    pub(super) async fn count<const N: usize>(
        &self,
        subjects: [(String, i64); N],
        now: Timestamp,
    ) -> Result<Option<i64>, Error> {
        self.catalog
            .write(move |tx| {
                Box::pin(async move {
                    let mut counts = [0; N];
                    for (at, (subject, free)) in subjects.iter().enumerate() {
                        let (count, last) = known(tx, subject, now).await?;
                        let wait = last.plus_secs(delay_after(count - free)).micros() - now.micros();
                        if wait > 0 {
                            return Ok(Some((wait + 999_999) / 1_000_000));
                        }
                        counts[at] = count;
                    }
                    for (at, (subject, _)) in subjects.iter().enumerate() {
                        rows::set_failures(tx, subject, counts[at] + 1, now).await?;
                    }
                    Ok(None)
                })
            })
            .await
    }
}

/// What failures are counted for, and how many cost nothing. Neither is kept as it is.
pub(super) fn subjects(name: &str, address: IpAddr) -> [(String, i64); 2] {
    let network = match address.to_canonical() {
        // One IPv6 caller has a whole /64 to send from.
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    };
    let subject = |text: String| hex(&hash_secret(&text));
    [
        (subject(format!("name {}", name.to_lowercase())), FREE_NAME),
        (subject(format!("address {network}")), FREE_ADDRESS),
    ]
}

/// Failures that still count.
pub(super) async fn known(tx: &mut Tx, subject: &str, now: Timestamp) -> Result<(i64, Timestamp), Error> {
    let found = rows::failures(tx, subject).await?;
    Ok(found.filter(|(_, last)| now < last.plus_secs(MEMORY)).unwrap_or((0, Timestamp::from_secs(0))))
}

/// Takes back the one that was counted.
pub(super) async fn forgive_one(tx: &mut Tx, subject: &str, now: Timestamp) -> Result<(), Error> {
    let (count, last) = known(tx, subject, now).await?;
    Ok(rows::set_failures(tx, subject, (count - 1).max(0), last).await?)
}

/// Doubles from a second on.
fn delay_after(charged: i64) -> i64 {
    if charged < 0 { 0 } else { (1 << charged.min(16)).min(LONGEST_WAIT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_cap() {
        let waits: Vec<i64> = (-2..12).map(delay_after).collect();
        assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    }

    #[test]
    fn one_network_and_one_name_are_one_subject() {
        let of =
            |name: &str, address: &str| subjects(name, address.parse().unwrap()).map(|(subject, _)| subject);
        assert_eq!(of("Ada", "192.0.2.1"), of("ada", "::ffff:192.0.2.1"));
        assert_eq!(of("a", "2001:db8::1")[1], of("b", "2001:db8::2")[1]);
        assert_ne!(of("a", "2001:db8::1")[1], of("a", "2001:db8:0:1::1")[1]);
        assert_ne!(of("a", "192.0.2.1")[0], of("b", "192.0.2.1")[0]);
    }
}

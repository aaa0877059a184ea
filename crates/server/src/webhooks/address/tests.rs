use super::*;

#[test]
fn only_addresses_of_the_internet_are_public() {
    for public in [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2600::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2003::1",
        "3ffe:ffff::1",
        "3fff:1000::1",
    ] {
        assert!(is_public(public.parse().unwrap()), "{public}");
    }
    for private in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "168.63.129.16",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        // Unspecified and loopback.
        "::",
        "::1",
        // IPv4 in other clothes: compatible, mapped, translated (both prefixes), 6to4, Teredo, ISATAP-like on link-local.
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "2001::1",
        "2001:0:808:808::",
        "2001:10::1",
        "2001:20::1",
        "2001:2::1",
        "fe80::5efe:127.0.0.1",
        // Discard, documentation, segment routing, local, link-local, site-local, multicast, what is not handed out.
        "100::1",
        "2001:db8::1",
        "3fff::1",
        "3fff:fff:ffff::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "4000::1",
        "8000::1",
        "1fff::1",
    ] {
        assert!(!is_public(private.parse().unwrap()), "{private}");
    }
}

#[test]
fn networks_hold_what_their_prefix_says() {
    let network = |text: &str| text.parse::<Network>();
    for (text, inside, outside) in [
        ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
        ("10.1.2.3/8", "10.0.0.0", "9.255.255.255"),
        ("192.0.2.7/32", "192.0.2.7", "192.0.2.6"),
        ("0.0.0.0/0", "255.255.255.255", "::1"),
        ("fd00::/8", "fdff::1", "fc00::1"),
        ("::1/128", "::1", "::"),
        ("::/0", "ffff::1", "127.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", "::ffff:10.0.0.1"),
    ] {
        let network = network(text).unwrap();
        assert!(network.contains(inside.parse().unwrap()), "{text} {inside}");
        assert!(!network.contains(outside.parse().unwrap()), "{text} {outside}");
    }
    for bad in [
        "",
        "10.0.0.0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "::/129",
        "/8",
        "a/8",
        "10.0.0.0/+8",
        "10/8",
        "10.0.0.0/8/8",
    ] {
        assert!(network(bad).is_err(), "{bad}");
    }
}

fn reach(networks: &[&str]) -> Reach {
    Reach::new(&networks.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>())
}

#[test]
fn what_an_address_says_of_itself_is_checked() {
    let internet = reach(&[]);
    for good in [
        "https://hooks.example.org/a?b=c",
        "HTTPS://EXAMPLE.org:8443",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/x",
        "https://localhost/is-resolved-later",
    ] {
        assert!(internet.check(good).is_ok(), "{good}");
    }
    let refused = |text: &str| internet.check(text).unwrap_err();
    for private in [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://0/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]:443/",
        "https://[64:ff9b::10.0.0.1]/",
        "https://[fe80::1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://①②⑦.⓪.⓪.①/",
        "https://10.0.0.1./",
        "http://192.168.1.1/",
    ] {
        assert!(matches!(refused(private), Refused::Private(_)), "{private}: {:?}", internet.check(private));
    }
    for (text, why) in [
        ("http://example.org/", Refused::Plain),
        ("http://8.8.8.8/", Refused::Plain),
        ("https://user@example.org/", Refused::UserInfo),
        ("https://:secret@example.org/", Refused::UserInfo),
        ("https://example.org/#x", Refused::Fragment),
        ("ftp://example.org/", Refused::Scheme("ftp".into())),
        ("file:///etc/passwd", Refused::Scheme("file".into())),
        ("javascript:alert(1)", Refused::Scheme("javascript".into())),
        ("example.org/a", Refused::Nonsense),
        ("https://", Refused::Nonsense),
        ("https://[fe80::1%25eth0]/", Refused::Nonsense),
        ("https://a b/", Refused::Nonsense),
        ("", Refused::Nonsense),
    ] {
        assert_eq!(refused(text), why, "{text}");
    }
    let long = |length: usize| format!("https://example.org/{}", "x".repeat(length - 20));
    assert!(internet.check(&long(2048)).is_ok());
    assert_eq!(refused(&long(2049)), Refused::TooLong);
}

#[test]
fn named_networks_may_be_called_even_without_tls_and_others_may_not() {
    let inside = reach(&["10.0.0.0/8", "::1/128"]);
    for good in ["http://10.1.2.3:8080/", "https://10.1.2.3/", "http://[::1]/", "http://intranet/"] {
        assert!(inside.check(good).is_ok(), "{good}");
    }
    assert_eq!(inside.check("http://8.8.8.8/"), Err(Refused::Plain));
    assert!(matches!(inside.check("http://127.0.0.1/"), Err(Refused::Private(_))));
    assert!(matches!(inside.check("https://[::ffff:10.0.0.1]/"), Err(Refused::Private(_))));
}

#[tokio::test]
async fn a_name_gives_only_addresses_that_may_be_called() {
    let resolve = async |reach: &Reach, tls: bool| {
        let found = reach.resolver(tls).resolve("localhost".parse().unwrap()).await;
        found.map(|found| found.map(|address| address.ip()).collect::<Vec<_>>())
    };
    for tls in [true, false] {
        let refused = resolve(&reach(&[]), tls).await.unwrap_err();
        assert!(matches!(refused.downcast_ref(), Some(Refused::Private(address)) if address.is_loopback()));
        let allowed = resolve(&reach(&["127.0.0.0/8", "::1/128"]), tls).await.unwrap();
        assert!(!allowed.is_empty() && allowed.iter().all(IpAddr::is_loopback));
    }
}

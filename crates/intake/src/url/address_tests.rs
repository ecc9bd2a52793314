use url::{Host, Url};

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn policy(allow: &[&str], deny: &[&str]) -> Policy {
    Policy::new(allow, deny).unwrap()
}

#[test]
fn what_is_no_public_host_is_refused_with_its_kind() {
    let table = [
        (Kind::Loopback, "127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::127.0.0.1"),
        (Kind::Loopback, "2002:7f00:1:: ::ffff:0:127.0.0.1 2a00:1450::5efe:127.0.0.1"),
        (
            Kind::Private,
            "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.1 fc00::1 fd12:3456::1 fec0::1",
        ),
        (
            Kind::Private,
            "::ffff:10.1.2.3 64:ff9b::192.168.1.1 2002:0a00:0001::1 2001:0:4136:e378:8000:63bf:f5ff:fffe",
        ),
        (Kind::LinkLocal, "169.254.0.1 169.254.255.255 fe80::1 febf::1 ::ffff:169.254.1.1"),
        (Kind::CarrierNat, "100.64.0.0 100.127.255.255 64:ff9b::100.64.0.1"),
        (Kind::Multicast, "224.0.0.1 239.255.255.255 ff02::1 ff0e::1"),
        (Kind::Unspecified, "0.0.0.0 0.1.2.3 :: ::ffff:0.0.0.0"),
        (Kind::Broadcast, "255.255.255.255 ::ffff:255.255.255.255"),
        (Kind::Documentation, "192.0.2.1 198.51.100.1 203.0.113.255 2001:db8::1 3fff::1 3fff:fff::1"),
        (Kind::Benchmark, "198.18.0.1 198.19.255.255 2001:2::1"),
        (
            Kind::Metadata,
            "169.254.169.254 169.254.170.2 100.100.100.200 168.63.129.16 192.0.0.192 fd00:ec2::254",
        ),
        (Kind::Metadata, "fd20:ce::254 ::ffff:169.254.169.254 64:ff9b::169.254.169.254 2002:a9fe:a9fe::"),
        (Kind::Metadata, "2001:0:0:0:0:0:5601:5601 ::169.254.169.254"),
        (
            Kind::Reserved,
            "192.0.0.1 192.88.99.1 240.0.0.1 254.255.255.255 2001:10::1 2001:0:808:808::f7f7:f7f7",
        ),
        (Kind::Reserved, "::8.8.8.8 64:ff9b:1::8.8.8.8 100::1 4000::1 5f00::1"),
    ];
    for (kind, addresses) in table {
        for address in addresses.split(' ') {
            assert_eq!(policy(&[], &[]).check(ip(address)), Err(kind), "{address}");
        }
    }
}

#[test]
fn public_hosts_pass_up_to_the_edges_of_the_ranges() {
    let v4 = "1.0.0.0 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 \
              169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 \
              198.20.0.0 223.255.255.255";
    let v6 = "2001:200::1 2606:4700:4700::1111 2a00:1450:4001::1 64:ff9b::8.8.8.8 ::ffff:8.8.8.8 2002:808:808::1 3ffe::1";
    for address in v4.split(' ').chain(v6.split(' ')).filter(|text| !text.is_empty()) {
        assert_eq!(policy(&[], &[]).check(ip(address)), Ok(()), "{address}");
    }
}

#[test]
fn allow_opens_what_is_refused_by_default_and_nothing_beside_it() {
    let open = policy(&["10.1.0.0/16", "127.0.0.1", "fd00::/8"], &[]);
    for address in ["10.1.2.3", "::ffff:10.1.2.3", "127.0.0.1", "fd00::1"] {
        assert_eq!(open.check(ip(address)), Ok(()), "{address}");
    }
    for (address, kind) in
        [("10.2.0.1", Kind::Private), ("127.0.0.2", Kind::Loopback), ("::1", Kind::Loopback)]
    {
        assert_eq!(open.check(ip(address)), Err(kind), "{address}");
    }
    // the 10.1.2.3 behind a translator is another network's
    assert_eq!(open.check(ip("64:ff9b::10.1.2.3")), Err(Kind::Private));
    assert_eq!(policy(&["64:ff9b::/96"], &[]).check(ip("64:ff9b::10.1.2.3")), Ok(()));
    assert_eq!(policy(&["::ffff:10.0.0.0/104"], &[]).check(ip("10.9.9.9")), Ok(()));
}

#[test]
fn a_metadata_service_is_opened_by_its_own_address_only() {
    let wide = policy(&["0.0.0.0/0", "::/0"], &[]);
    for address in ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "168.63.129.16"] {
        assert_eq!(wide.check(ip(address)), Err(Kind::Metadata), "{address}");
    }
    assert_eq!(policy(&["169.254.169.254"], &[]).check(ip("169.254.169.254")), Ok(()));
    assert_eq!(policy(&["fd00:ec2::254/128"], &[]).check(ip("fd00:ec2::254")), Ok(()));
}

#[test]
fn deny_wins_over_allow_and_over_public() {
    let closed = policy(&["10.0.0.0/8"], &["10.0.0.0/24", "8.8.8.0/24", "2a00::/16"]);
    for address in
        ["10.0.0.9", "8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2a00:1::1"]
    {
        assert_eq!(closed.check(ip(address)), Err(Kind::Denied), "{address}");
    }
    for address in ["10.0.1.9", "8.8.4.4", "2b00::1"] {
        assert_eq!(closed.check(ip(address)), Ok(()), "{address}");
    }
    assert_eq!(
        policy(&["169.254.169.254"], &["169.254.169.254"]).check(ip("169.254.169.254")),
        Err(Kind::Denied)
    );
}

#[test]
fn a_range_that_is_none_is_named() {
    for text in ["10.0.0.0/33", "localhost", "", "10.0.0/8", "::/129"] {
        let wrong = Policy::new(&[text], &[]).unwrap_err().to_string();
        assert!(wrong.contains(&format!("{text:?}")), "{wrong}");
    }
}

/// The URL parser makes one form of all that the C library would take for an address, so none of them is left for a resolver.
#[test]
fn hosts_in_other_notations_are_the_addresses_that_they_mean() {
    let hosts = [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0x7f.0x0.0x0.0x1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "127.000.000.001",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "0",
        "0x0",
        "0.0.0.0",
        "[::]",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
    ];
    for host in hosts {
        let url = Url::parse(&format!("http://{host}/a.m3u8")).unwrap();
        let address = match url.host().unwrap() {
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
            Host::Domain(name) => panic!("{host} is left as the name {name}"),
        };
        assert!(policy(&[], &[]).check(address).is_err(), "{host} is {address}");
    }
    for host in ["256.0.0.1", "0x7f.0.0.0.1", "127.0.0.08", "4294967296", "[::1%25eth0]"] {
        assert!(Url::parse(&format!("http://{host}/")).is_err(), "{host}");
    }
}

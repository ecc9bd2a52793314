//! Which addresses a fetch may connect to. Pure: names are resolved elsewhere, and what is asked here is the very address that
//! is connected to afterwards.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Services that hand out a machine's credentials. They lie in ranges that an operator may well open (fd00::/8, 100.64.0.0/10)
/// or are public addresses, so that only an entry with the address alone opens one.
const METADATA: [IpAddr; 10] = [
    v4(169, 254, 169, 254), // AWS, Google, Azure, OpenStack, DigitalOcean, Oracle, Hetzner
    v4(169, 254, 170, 2),   // AWS ECS
    v4(169, 254, 170, 23),  // AWS EKS
    v4(169, 254, 42, 42),   // Scaleway
    v4(100, 100, 100, 200), // Alibaba
    v4(168, 63, 129, 16),   // Azure's wire server
    v4(192, 0, 0, 192),     // Oracle's older one
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), // AWS
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)), // AWS EKS
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)), // Google
];

/// The IANA IPv4 Special-Purpose Address Registry, and multicast.
const SPECIAL_V4: [([u8; 4], u8, Kind); 16] = [
    ([255, 255, 255, 255], 32, Kind::Broadcast),
    ([0, 0, 0, 0], 8, Kind::Unspecified), // Linux connects 0.0.0.0 to itself
    ([10, 0, 0, 0], 8, Kind::Private),
    ([100, 64, 0, 0], 10, Kind::CarrierNat),
    ([127, 0, 0, 0], 8, Kind::Loopback),
    ([169, 254, 0, 0], 16, Kind::LinkLocal),
    ([172, 16, 0, 0], 12, Kind::Private),
    ([192, 0, 0, 0], 24, Kind::Reserved),
    ([192, 0, 2, 0], 24, Kind::Documentation),
    ([192, 88, 99, 0], 24, Kind::Reserved),
    ([192, 168, 0, 0], 16, Kind::Private),
    ([198, 18, 0, 0], 15, Kind::Benchmark),
    ([198, 51, 100, 0], 24, Kind::Documentation),
    ([203, 0, 113, 0], 24, Kind::Documentation),
    ([224, 0, 0, 0], 4, Kind::Multicast),
    ([240, 0, 0, 0], 4, Kind::Reserved),
];

/// The same for IPv6. What is not in 2000::/3 is refused without being listed.
const SPECIAL_V6: [([u16; 2], u8, Kind); 8] = [
    ([0xfc00, 0], 7, Kind::Private),
    ([0xfe80, 0], 10, Kind::LinkLocal),
    ([0xfec0, 0], 10, Kind::Private), // site-local, deprecated
    ([0xff00, 0], 8, Kind::Multicast),
    ([0x2001, 0xdb8], 32, Kind::Documentation),
    ([0x2001, 2], 48, Kind::Benchmark),
    ([0x2001, 0], 23, Kind::Reserved), // Teredo, ORCHID and other protocols' own
    ([0x3fff, 0], 20, Kind::Documentation),
];

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// 127.0.0.0/8, ::1.
    Loopback,
    /// RFC 1918, unique local and site-local IPv6.
    Private,
    /// 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// 100.64.0.0/10 (RFC 6598).
    CarrierNat,
    /// 224.0.0.0/4, ff00::/8.
    Multicast,
    /// 0.0.0.0/8, ::.
    Unspecified,
    /// 255.255.255.255.
    Broadcast,
    /// RFC 5737, RFC 3849, RFC 9637.
    Documentation,
    /// RFC 2544, RFC 5180.
    Benchmark,
    /// A cloud's service that knows the machine's credentials.
    Metadata,
    /// Anything else that is no host of the public internet.
    Reserved,
    /// In the operator's `deny`.
    Denied,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::CarrierNat => "a shared (carrier-grade NAT) address",
            Self::Multicast => "a multicast address",
            Self::Unspecified => "the unspecified address",
            Self::Broadcast => "the broadcast address",
            Self::Documentation => "a documentation address",
            Self::Benchmark => "a benchmark address",
            Self::Metadata => "a cloud's metadata service",
            Self::Reserved => "a reserved address",
            Self::Denied => "an address that the operator denies",
        })
    }
}

/// What is refused and what is not: public addresses pass, `allow` opens others, `deny` closes any.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

/// Text that is neither an address nor an address with a prefix length.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0:?} is neither an address nor a range such as 10.0.0.0/8")]
pub struct NotARange(String);

impl Policy {
    /// The policy with these ranges, each an address or a CIDR (`10.0.0.0/8`, `fd00::/8`, `192.0.2.1`).
    pub fn new<S: AsRef<str>>(allow: &[S], deny: &[S]) -> Result<Self, NotARange> {
        let parsed = |ranges: &[S]| ranges.iter().map(|text| range(text.as_ref())).collect::<Result<_, _>>();
        Ok(Self { allow: parsed(allow)?, deny: parsed(deny)? })
    }

    /// Whether `address` may be connected to. `deny` counts for an IPv4 address inside an IPv6 one, too (NAT64, 6to4 and so on),
    /// `allow` only for the address itself: the IPv4 network behind a translator need not be the one the operator means.
    pub fn check(&self, address: IpAddr) -> Result<(), Kind> {
        let address = address.to_canonical();
        let inside = embedded(address).map(IpAddr::V4);
        let denied = |ip: IpAddr| self.deny.iter().any(|net| net.contains(&ip));
        if denied(address) || inside.is_some_and(denied) {
            return Err(Kind::Denied);
        }
        if METADATA.contains(&address) {
            let named = self
                .allow
                .iter()
                .any(|net| net.prefix_len() == net.max_prefix_len() && net.addr() == address);
            return if named { Ok(()) } else { Err(Kind::Metadata) };
        }
        match special(address) {
            Some(_) if self.allow.iter().any(|net| net.contains(&address)) => Ok(()),
            Some(kind) => Err(kind),
            None => Ok(()),
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

fn range(text: &str) -> Result<IpNet, NotARange> {
    let wrong = || NotARange(text.to_owned());
    let net = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| wrong())?,
    };
    // ::ffff:10.0.0.0/104 is 10.0.0.0/8 written otherwise; addresses are compared in their IPv4 form.
    match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(mapped) => Ipv4Net::new(mapped, v6.prefix_len() - 96).map(IpNet::V4).map_err(|_| wrong()),
            None => Ok(net),
        },
        net => Ok(net),
    }
}

/// Why `address`, in its canonical form, is no host of the public internet; `None` where it is one.
fn special(address: IpAddr) -> Option<Kind> {
    if METADATA.contains(&address) {
        return Some(Kind::Metadata);
    }
    match address {
        IpAddr::V4(address) => {
            let covers = |(net, length, _): &&([u8; 4], u8, Kind)| {
                Ipv4Net::new(Ipv4Addr::from(*net), *length).is_ok_and(|net| net.contains(&address))
            };
            SPECIAL_V4.iter().find(covers).map(|(_, _, kind)| *kind)
        }
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Some(Kind::Unspecified),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => Some(Kind::Loopback),
        IpAddr::V6(v6) => special_v6(v6),
    }
}

fn special_v6(address: Ipv6Addr) -> Option<Kind> {
    if let Some(kind) = embedded(IpAddr::V6(address)).and_then(|inside| special(IpAddr::V4(inside))) {
        return Some(kind);
    }
    let covers = |([a, b], length, _): &&([u16; 2], u8, Kind)| {
        Ipv6Net::new(Ipv6Addr::new(*a, *b, 0, 0, 0, 0, 0, 0), *length).is_ok_and(|net| net.contains(&address))
    };
    if let Some((_, _, kind)) = SPECIAL_V6.iter().find(covers) {
        return Some(*kind);
    }
    let global = address.segments()[0] & 0xe000 == 0x2000 || is_nat64(address);
    (!global).then_some(Kind::Reserved)
}

/// 64:ff9b::/96, a translator to IPv4 (RFC 6052): on IPv6-only hosts every IPv4 server has such an address.
fn is_nat64(address: Ipv6Addr) -> bool {
    address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0]
}

/// The IPv4 address that a packet to `address` may end at.
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let at = |first: usize| {
        let octets = address.octets();
        Ipv4Addr::new(octets[first], octets[first + 1], octets[first + 2], octets[first + 3])
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // compatible (RFC 4291 2.5.5.1), mapped, and translated (RFC 2765)
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => Some(at(12)),
        [0x64, 0xff9b, ..] => Some(at(12)),
        [0x2002, ..] => Some(at(2)), // 6to4 (RFC 3056)
        [0x2001, 0, ..] => Some(Ipv4Addr::from(!u32::from(at(12)))), // Teredo (RFC 4380)
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => Some(at(12)), // ISATAP (RFC 5214)
        _ => None,
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;

//! Which of this machine's addresses WHIP publishers are told.

use std::net::{IpAddr, Ipv6Addr};

use intake::whip::Address;

use crate::config::{Filter, Network, Rtc};

/// An address of an interface that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The interface, `eth0`.
    pub interface: String,
    /// Its address.
    pub ip: IpAddr,
}

/// The addresses of all interfaces that are up.
///
/// # Errors
/// The system does not say.
pub fn own() -> std::io::Result<Vec<Own>> {
    use nix::net::if_::InterfaceFlags;
    let all = nix::ifaddrs::getifaddrs()?.filter(|known| known.flags.contains(InterfaceFlags::IFF_UP));
    Ok(all
        .filter_map(|known| {
            let address = known.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            let ip = v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))?;
            Some(Own { interface: known.interface_name, ip })
        })
        .collect())
}

/// The addresses to use, the best first: IPv4 before IPv6, and the ones that `rtc` names instead of those that the interfaces
/// have. `bind`: the address that all listeners bind; unspecified: any.
pub fn choose(own: &[Own], rtc: &Rtc, bind: IpAddr) -> Vec<Address> {
    let mut chosen: Vec<Address> = Vec::new();
    for (is_v4, named) in [(true, rtc.node_ip.v4.map(IpAddr::V4)), (false, rtc.node_ip.v6.map(IpAddr::V6))] {
        let here = own.iter().filter(|own| own.ip.is_ipv4() == is_v4 && is_wanted(own, rtc));
        let here: Vec<IpAddr> =
            here.map(|own| own.ip).filter(|ip| bind.is_unspecified() || bind == *ip).collect();
        match named {
            // Behind a router that maps it to us one to one.
            Some(named) => {
                let bound = here.iter().find(|ip| **ip == named).or(here.first());
                chosen.extend(bound.map(|bind| Address { bind: *bind, advertise: named }));
            }
            None => chosen.extend(here.into_iter().map(|ip| Address { bind: ip, advertise: ip })),
        }
    }
    chosen
}

fn is_wanted(own: &Own, rtc: &Rtc) -> bool {
    let link_local = match own.ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => is_link_local(v6),
    };
    (rtc.enable_loopback_candidate || !own.ip.is_loopback())
        && !link_local
        && passes(&rtc.interfaces, |name| *name == own.interface)
        && passes(&rtc.ips, |network| contains(network, own.ip))
}

/// `fe80::/10`: of use only with a scope, which SDP does not have.
fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

fn passes<T>(filter: &Filter<T>, is: impl Fn(&T) -> bool) -> bool {
    (filter.includes.is_empty() || filter.includes.iter().any(&is)) && !filter.excludes.iter().any(is)
}

fn contains(network: &Network, ip: IpAddr) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)) << 96, 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let ((network_bits, length), (ip_bits, other)) = (bits(network.address), bits(ip));
    let mask = u128::MAX.checked_shl(128 - u32::from(network.prefix)).unwrap_or(0);
    length == other && network_bits & mask == ip_bits & mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NodeIp, UdpPorts};

    const ANY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn rtc() -> Rtc {
        Rtc {
            udp: UdpPorts::Shared(7885..=7885),
            tcp_port: None,
            node_ip: NodeIp::default(),
            use_external_ip: false,
            external_ip_only: false,
            stun_servers: Vec::new(),
            use_ice_lite: false,
            interfaces: Filter { includes: Vec::new(), excludes: Vec::new() },
            ips: Filter { includes: Vec::new(), excludes: Vec::new() },
            enable_loopback_candidate: false,
        }
    }

    fn machine() -> Vec<Own> {
        let own = |interface: &str, text| Own { interface: interface.into(), ip: ip(text) };
        vec![
            own("lo", "127.0.0.1"),
            own("lo", "::1"),
            own("eth0", "2001:db8::7"),
            own("eth0", "fe80::7"),
            own("eth0", "10.1.2.3"),
            own("docker0", "172.17.0.1"),
        ]
    }

    fn told(rtc: &Rtc, bind: IpAddr) -> Vec<String> {
        let text = |address: &Address| match address.bind == address.advertise {
            true => address.bind.to_string(),
            false => format!("{} as {}", address.bind, address.advertise),
        };
        choose(&machine(), rtc, bind).iter().map(text).collect()
    }

    #[test]
    fn all_that_others_can_reach_are_told_and_no_loopback() {
        assert_eq!(told(&rtc(), ANY), ["10.1.2.3", "172.17.0.1", "2001:db8::7"]);
        let loopback = Rtc { enable_loopback_candidate: true, ..rtc() };
        assert_eq!(told(&loopback, ANY).len(), 5);
        assert_eq!(told(&loopback, ip("127.0.0.1")), ["127.0.0.1"]);
        assert_eq!(told(&rtc(), ip("10.1.2.3")), ["10.1.2.3"]);
    }

    #[test]
    fn interfaces_and_networks_are_chosen_by_the_operator() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let only = Rtc { interfaces: Filter { includes: names(&["eth0"]), excludes: Vec::new() }, ..rtc() };
        assert_eq!(told(&only, ANY), ["10.1.2.3", "2001:db8::7"]);
        let not = Rtc { interfaces: Filter { includes: Vec::new(), excludes: names(&["eth0"]) }, ..rtc() };
        assert_eq!(told(&not, ANY), ["172.17.0.1"]);
        let network = |text, prefix| Network { address: ip(text), prefix };
        let ten = Filter { includes: vec![network("10.9.9.9", 8)], excludes: Vec::new() };
        assert_eq!(told(&Rtc { ips: ten, ..rtc() }, ANY), ["10.1.2.3"]);
        let all = Filter { includes: vec![network("0.0.0.0", 0)], excludes: vec![network("172.16.0.0", 12)] };
        assert_eq!(told(&Rtc { ips: all, ..rtc() }, ANY), ["10.1.2.3"]);
    }

    #[test]
    fn a_named_address_stands_for_the_first_of_its_family() {
        let named = |v4: &str| {
            let node_ip = NodeIp { v4: Some(v4.parse().unwrap()), v6: None };
            told(&Rtc { node_ip, ..rtc() }, ANY)
        };
        assert_eq!(named("192.0.2.1"), ["10.1.2.3 as 192.0.2.1", "2001:db8::7"]);
        assert_eq!(named("172.17.0.1"), ["172.17.0.1", "2001:db8::7"]);
    }

    #[test]
    fn this_machine_has_a_loopback_address() {
        assert!(own().unwrap().iter().any(|own| own.ip.is_loopback()));
    }
}

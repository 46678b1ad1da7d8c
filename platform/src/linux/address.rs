//! Socket addresses as traced processes give them to `connect`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a socket address names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address<'a> {
    /// A Unix socket in the file system.
    Path(&'a [u8]),
    /// A host other than this machine.
    Network(SocketAddr),
    /// This machine, by the network: a server of the run's own, or anybody's.
    Loopback(SocketAddr),
    /// Something that is neither file nor network: abstract sockets, netlink.
    Local,
}

/// Decodes a `struct sockaddr` (address_families(7)); what is too short to be one is [`Address::Local`], as
/// the call will fail.
pub(super) fn decode(bytes: &[u8]) -> Address<'_> {
    let Some((family, rest)) = bytes.split_first_chunk::<2>() else {
        return Address::Local;
    };
    let family = i32::from(u16::from_ne_bytes(*family));
    let port = || rest.first_chunk().map_or(0, |port| u16::from_be_bytes(*port));
    let ip: IpAddr = match family {
        libc::AF_UNIX => {
            let name = rest.split(|&byte| byte == 0).next().unwrap_or_default();
            return if name.is_empty() { Address::Local } else { Address::Path(name) };
        }
        libc::AF_INET => match rest.get(2..6).and_then(|ip| ip.first_chunk::<4>()) {
            Some(&ip) => Ipv4Addr::from(ip).into(),
            None => return Address::Local,
        },
        libc::AF_INET6 => match rest.get(6..22).and_then(|ip| ip.first_chunk::<16>()) {
            Some(&ip) => Ipv6Addr::from(ip).to_canonical(),
            None => return Address::Local,
        },
        _ => return Address::Local,
    };
    let host = (ip, port()).into();
    if ip.is_loopback() || ip.is_unspecified() { Address::Loopback(host) } else { Address::Network(host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv4(ip: [u8; 4]) -> Vec<u8> {
        [&(libc::AF_INET as u16).to_ne_bytes()[..], &443_u16.to_be_bytes(), &ip, &[0; 8]].concat()
    }

    #[test]
    fn this_machine_is_told_from_others() {
        let host = |text: &str| text.parse().expect("an address");
        assert_eq!(decode(&ipv4([192, 0, 2, 1])), Address::Network(host("192.0.2.1:443")));
        assert_eq!(decode(&ipv4([127, 0, 0, 53])), Address::Loopback(host("127.0.0.53:443")));
        assert_eq!(decode(&ipv4([0, 0, 0, 0])), Address::Loopback(host("0.0.0.0:443")));
        let mut mapped = [&(libc::AF_INET6 as u16).to_ne_bytes()[..], &[0; 6], &[0; 10], &[255; 2]].concat();
        mapped.extend([127, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(decode(&mapped), Address::Loopback(host("127.0.0.1:0")));
    }

    #[test]
    fn a_unix_socket_is_a_path_unless_abstract() {
        let unix = |name: &[u8]| [&(libc::AF_UNIX as u16).to_ne_bytes()[..], name].concat();
        assert_eq!(decode(&unix(b"/run/s\0")), Address::Path(b"/run/s"));
        assert_eq!(decode(&unix(b"\0abstract")), Address::Local);
    }

    #[test]
    fn what_is_cut_short_names_nothing() {
        let whole = ipv4([192, 0, 2, 1]);
        for length in 0..8 {
            assert_eq!(decode(&whole[..length]), Address::Local);
        }
    }
}

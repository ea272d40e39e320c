//! Which address a request comes from, seen through the proxies that we trust.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The proxies whose `X-Forwarded-…` headers are believed, and on whom limits do not fall.
#[derive(Clone, Debug)]
pub(crate) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client's address: the rightmost of `X-Forwarded-For` and the peer that is no trusted proxy.
    /// `None` when all are, or when a trusted proxy does not tell (`unknown`): limits per address do not
    /// apply. They would fall on the proxy, and so on everybody behind it together.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        if !self.has(peer) {
            return Some(peer);
        }
        // Each hop appends whom it heard from, so trust is followed from the right.
        for hop in headers.get_all(FORWARDED_FOR).iter().rev() {
            for entry in hop.as_bytes().rsplit(|byte| *byte == b',') {
                if entry.trim_ascii().is_empty() {
                    continue;
                }
                let address = parse(entry)?;
                if !self.has(address) {
                    return Some(address);
                }
            }
        }
        None
    }

    /// What the request calls this server, by the word of a trusted proxy. A browser's page cannot set
    /// these headers for a socket, so any name of a chain of proxies will do.
    pub(crate) fn forwarded_hosts<'h>(
        &self,
        peer: IpAddr,
        headers: &'h HeaderMap,
    ) -> impl Iterator<Item = &'h str> {
        let is_trusted = self.has(peer);
        headers
            .get_all(FORWARDED_HOST)
            .into_iter()
            .filter(move |_| is_trusted)
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
    }
}

/// An address, with or without a port.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let entry = str::from_utf8(entry).ok()?.trim();
    let bare = entry
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(entry);
    bare.parse::<IpAddr>()
        .or_else(|_| entry.parse::<SocketAddr>().map(|address| address.ip()))
        .map(|address| address.to_canonical())
        .ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, forwarded_for: &[&str]) -> Option<String> {
        let networks = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "fd00::/8"];
        let networks = networks.iter().map(|n| n.parse().expect("a network"));
        let mut headers = HeaderMap::new();
        for value in forwarded_for {
            let value = HeaderValue::from_str(value).expect("a header value");
            headers.append(FORWARDED_FOR, value);
        }
        TrustedProxies::new(networks.collect())
            .client(peer.parse().expect("an address"), &headers)
            .map(|address| address.to_string())
    }

    #[test]
    fn the_client_is_the_rightmost_that_is_no_trusted_proxy() {
        for (peer, forwarded_for, expected) in [
            ("192.0.2.1", &[][..], Some("192.0.2.1")),
            ("192.0.2.1", &["198.51.100.7"], Some("192.0.2.1")),
            ("::ffff:192.0.2.1", &[], Some("192.0.2.1")),
            ("127.0.0.1", &[], None),
            ("::ffff:127.0.0.1", &[], None),
            ("::1", &[], None),
            ("127.0.0.1", &["198.51.100.7"], Some("198.51.100.7")),
            (
                "127.0.0.1",
                &["6.6.6.6, 198.51.100.7"],
                Some("198.51.100.7"),
            ),
            (
                "127.0.0.1",
                &["6.6.6.6,198.51.100.7,10.1.2.3"],
                Some("198.51.100.7"),
            ),
            (
                "127.0.0.1",
                &["6.6.6.6", "198.51.100.7", "10.1.2.3, 10.1.2.4"],
                Some("198.51.100.7"),
            ),
            ("127.0.0.1", &["10.1.2.3, 10.1.2.4"], None),
            ("127.0.0.1", &[""], None),
            ("127.0.0.1", &["198.51.100.7, "], Some("198.51.100.7")),
            ("127.0.0.1", &["198.51.100.7:4711"], Some("198.51.100.7")),
            ("127.0.0.1", &["2001:db8::1"], Some("2001:db8::1")),
            ("127.0.0.1", &["[2001:db8::1]"], Some("2001:db8::1")),
            ("127.0.0.1", &["[2001:db8::1]:4711"], Some("2001:db8::1")),
            ("127.0.0.1", &["::ffff:10.1.2.3"], None),
            ("127.0.0.1", &["198.51.100.7, unknown"], None),
            ("127.0.0.1", &["198.51.100.7, unknown, 10.1.2.3"], None),
            (
                "127.0.0.1",
                &["unknown, 198.51.100.7"],
                Some("198.51.100.7"),
            ),
        ] {
            let found = client(peer, forwarded_for);
            assert_eq!(found.as_deref(), expected, "{peer} for {forwarded_for:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_may_name_the_host() {
        let proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().expect("a network")]);
        let mut headers = HeaderMap::new();
        headers.append(
            FORWARDED_HOST,
            HeaderValue::from_static("chat.example, inner"),
        );
        let hosts = |peer: &str| -> Vec<&str> {
            let peer = peer.parse().expect("an address");
            proxies
                .forwarded_hosts(peer, &headers)
                .map(str::trim)
                .collect()
        };
        assert_eq!(hosts("127.0.0.1"), ["chat.example", "inner"]);
        assert!(hosts("192.0.2.1").is_empty());
    }
}

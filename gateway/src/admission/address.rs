//! What counts as one address.

use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_64;

/// An IPv4 address, or the /64 of an IPv6 one: that much one household or machine has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Address {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl Address {
    /// The same on every gateway; never 0.
    pub(super) fn hash(self) -> u64 {
        let hash = match self {
            Self::V4(octets) => xxh3_64(&octets),
            Self::V6(prefix) => xxh3_64(&prefix),
        };
        hash.max(1)
    }
}

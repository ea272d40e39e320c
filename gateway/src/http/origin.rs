//! Which pages may open a socket here (PROTOCOL.md section 1). A browser names the page's origin in
//! `Origin`; anything that is no browser sends none.

use std::{fmt, str::FromStr};

/// What `--allowed-origins` takes: `https://host[:port]`, or `https://*.example.com` for every host below
/// a domain. `http` is taken as well, for development.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    https: bool,
    host: PatternHost,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PatternHost {
    Exact(String),
    /// Hosts that end in this, which begins with a dot.
    Below(String),
}

/// The text is no origin pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an origin like https://chat.example.com, https://chat.example.com:8443 or https://*.example.com, got {0:?}"
)]
pub struct OriginPatternError(String);

/// An origin as a browser sends it.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl OriginPattern {
    fn matches(&self, origin: &Origin) -> bool {
        let host_matches = match &self.host {
            PatternHost::Exact(host) => *host == origin.host,
            PatternHost::Below(suffix) => {
                origin.host.len() > suffix.len() && origin.host.ends_with(suffix.as_str())
            }
        };
        host_matches && self.https == origin.https && self.port == origin.port
    }
}

impl FromStr for OriginPattern {
    type Err = OriginPatternError;

    fn from_str(text: &str) -> Result<Self, OriginPatternError> {
        let error = || OriginPatternError(text.to_owned());
        let origin = Origin::parse(text).ok_or_else(error)?;
        let host = match origin.host.strip_prefix('*') {
            None if origin.host.contains('*') => return Err(error()),
            None => PatternHost::Exact(origin.host),
            // Below a whole domain, not below a top-level one.
            Some(suffix)
                if suffix.starts_with('.')
                    && suffix[1..].contains('.')
                    && !suffix.ends_with('.')
                    && !suffix.contains("..")
                    && !suffix.contains('*') =>
            {
                PatternHost::Below(suffix.to_owned())
            }
            Some(_) => return Err(error()),
        };
        Ok(Self {
            https: origin.https,
            host,
            port: origin.port,
        })
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        match &self.host {
            PatternHost::Exact(host) => write!(f, "{scheme}://{host}")?,
            PatternHost::Below(suffix) => write!(f, "{scheme}://*{suffix}")?,
        }
        if self.port == default_port(self.https) {
            Ok(())
        } else {
            write!(f, ":{}", self.port)
        }
    }
}

impl Origin {
    /// `scheme://host[:port]` and nothing after it.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (host, port) = split_port(authority)?;
        Some(Self {
            https,
            host,
            port: port.unwrap_or(default_port(https)),
        })
    }
}

/// Whether a page of `origin` may connect. `hosts` are what the request calls this server: `Host`, and
/// `X-Forwarded-Host` if a trusted proxy said it. The scheme is not compared: TLS ends at a proxy.
pub(crate) fn is_allowed<'h>(
    origin: &str,
    hosts: impl IntoIterator<Item = &'h str>,
    patterns: &[OriginPattern],
) -> bool {
    let Some(origin) = Origin::parse(origin).filter(|origin| !origin.host.contains('*')) else {
        return false;
    };
    let is_same_host = |text: &str| {
        split_port(text.trim()).is_some_and(|(host, port)| {
            host == origin.host && port.unwrap_or(default_port(origin.https)) == origin.port
        })
    };
    hosts.into_iter().any(is_same_host) || patterns.iter().any(|p| p.matches(&origin))
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

/// `host[:port]` in lower case, an IPv6 host in its brackets.
fn split_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        match &authority[end..] {
            "" => (authority, None),
            rest => (&authority[..end], Some(rest.strip_prefix(':')?)),
        }
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._*[]:".contains(&b);
    if host.is_empty() || !host.bytes().all(is_name) {
        return None;
    }
    let port = match port {
        Some(digits) if !digits.bytes().all(|b| b.is_ascii_digit()) => return None,
        Some(digits) => Some(digits.parse().ok()?),
        None => None,
    };
    Some((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests;

//! Times on the wire.

use chrono::{DateTime, SecondsFormat, Utc};

/// RFC 3339 in UTC with milliseconds and `Z`, of milliseconds since 1970-01-01 UTC. Times beyond what
/// the calendar holds read as its end.
pub fn rfc3339(unix_ms: u64) -> String {
    at(unix_ms).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The moment itself.
pub fn at(unix_ms: u64) -> DateTime<Utc> {
    i64::try_from(unix_ms)
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    #[test]
    fn milliseconds_and_z() {
        assert_eq!(
            super::rfc3339(1_795_762_800_005),
            "2026-11-27T07:00:00.005Z"
        );
    }
}

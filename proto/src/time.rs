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

/// Milliseconds since 1970-01-01 UTC of an RFC 3339 time; earlier times read as 0. `None` for what is no
/// such time.
pub fn parse(text: &str) -> Option<u64> {
    let at = DateTime::parse_from_rfc3339(text).ok()?;
    Some(u64::try_from(at.timestamp_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_time_in_any_zone_is_read() {
        let parse = super::parse;
        assert_eq!(parse("2026-11-27T07:00:00.005Z"), Some(1_795_762_800_005));
        assert_eq!(
            parse("2026-11-27T15:00:00.005+08:00"),
            Some(1_795_762_800_005)
        );
        assert_eq!(parse("1969-11-27T07:00:00Z"), Some(0));
        assert_eq!(parse("yesterday"), None);
    }

    #[test]
    fn milliseconds_and_z() {
        assert_eq!(
            super::rfc3339(1_795_762_800_005),
            "2026-11-27T07:00:00.005Z"
        );
    }
}

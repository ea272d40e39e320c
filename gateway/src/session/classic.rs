//! The classic protocol (PROTOCOL.md section 5): one room, `{"message": …}` both ways.

use serde::Serialize;
use serde_json::{Map, Value};

/// What every member of the room gets.
#[derive(Serialize)]
struct Line {
    message: String,
}

/// What the sender alone gets.
#[derive(Serialize)]
struct Refused<'a> {
    error: &'a str,
}

/// The text of a message that a client sent.
///
/// # Errors
/// What is wrong with the frame.
pub(super) fn parse(frame: &str) -> Result<String, String> {
    const EXPECTED: &str = r#"expected {"message": "…"}"#;
    let object: Result<Map<String, Value>, _> = serde_json::from_str(frame);
    match object.map(|mut object| object.remove("message")) {
        Ok(Some(Value::String(text))) => Ok(text),
        Ok(_) => Err(EXPECTED.to_owned()),
        Err(error) => Err(format!("{EXPECTED}: {error}")),
    }
}

/// A message as its room sees it: the time at the server's place, a colon, the text.
pub(crate) fn line(text: &str, ts_ms: u64, time_zone: chrono_tz::Tz) -> String {
    let time = proto::time::at(ts_ms).with_timezone(&time_zone);
    encode(&Line {
        message: format!("{}:{text}", time.format("%Y-%m-%d %H:%M:%S")),
    })
}

/// A refusal.
pub(super) fn error(words: &str) -> String {
    encode(&Refused { error: words })
}

/// Serialising a struct of strings cannot fail.
fn encode(frame: &impl Serialize) -> String {
    serde_json::to_string(frame).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_time_of_its_place() {
        let at = 1_795_417_200_000;
        assert_eq!(
            line("hi \"all\"", at, chrono_tz::UTC),
            r#"{"message":"2026-11-23 07:00:00:hi \"all\""}"#
        );
        assert_eq!(
            line("好", at, chrono_tz::Asia::Shanghai),
            r#"{"message":"2026-11-23 15:00:00:好"}"#
        );
    }

    #[test]
    fn only_a_message_is_taken() {
        assert_eq!(parse(r#"{"message":"hi","x":1}"#).as_deref(), Ok("hi"));
        for bad in [
            "hi",
            "{}",
            "null",
            "[]",
            r#"["hi"]"#,
            r#"[{"message":"hi"}]"#,
            r#"{"message":5}"#,
            r#"{"message":"\ud83d"}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

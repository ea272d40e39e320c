//! Cursors: how far a client has read a room.

use serde_json::Value;

use super::MAX_INTEGER;

/// The room's numbering and the last seq a client has of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// 1–16 of `[a-z0-9]`; empty for the present numbering.
    pub generation: String,
    /// The last seq the client has.
    pub seq: u64,
}

/// The value is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected \"<gen>.<seq>\", an integer from 0 or null")]
pub struct NotACursor;

impl Cursor {
    /// Reads a cursor; `None` for null.
    ///
    /// # Errors
    /// [`NotACursor`].
    pub fn from_json(value: &Value) -> Result<Option<Self>, NotACursor> {
        match value {
            Value::Null => Ok(None),
            Value::String(text) => Self::parse(text).map(Some),
            Value::Number(number) => {
                let seq = number
                    .as_u64()
                    .filter(|seq| *seq < MAX_INTEGER)
                    .ok_or(NotACursor)?;
                Ok(Some(Self {
                    generation: String::new(),
                    seq,
                }))
            }
            _ => Err(NotACursor),
        }
    }

    /// Reads `<gen>.<seq>`.
    ///
    /// # Errors
    /// [`NotACursor`].
    pub fn parse(text: &str) -> Result<Self, NotACursor> {
        let (generation, seq) = text.split_once('.').ok_or(NotACursor)?;
        let is_generation = (1..=16).contains(&generation.len())
            && generation
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let is_seq = !seq.is_empty() && seq.bytes().all(|b| b.is_ascii_digit());
        if !is_generation || !is_seq {
            return Err(NotACursor);
        }
        let seq = seq
            .parse()
            .ok()
            .filter(|seq| *seq < MAX_INTEGER)
            .ok_or(NotACursor)?;
        Ok(Self {
            generation: generation.to_owned(),
            seq,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cursor(generation: &str, seq: u64) -> Option<Cursor> {
        Some(Cursor {
            generation: generation.to_owned(),
            seq,
        })
    }

    #[test]
    fn the_forms_of_a_cursor() {
        assert_eq!(Cursor::from_json(&json!(null)), Ok(None));
        assert_eq!(Cursor::from_json(&json!("0.0")), Ok(cursor("0", 0)));
        assert_eq!(
            Cursor::from_json(&json!("ab12cd34.907")),
            Ok(cursor("ab12cd34", 907))
        );
        assert_eq!(Cursor::from_json(&json!(17)), Ok(cursor("", 17)));
    }

    #[test]
    fn what_is_no_cursor() {
        for bad in [
            json!(""),
            json!("17"),
            json!("a."),
            json!(".1"),
            json!("A.1"),
            json!("a.-1"),
            json!("a.+1"),
            json!("a.1.2"),
            json!("aaaaaaaaaaaaaaaaa.1"),
            json!("a.9007199254740992"),
            json!("a.99999999999999999999999"),
            json!(-1),
            json!(1.5),
            json!(9_007_199_254_740_992_u64),
            json!(true),
            json!([1]),
            json!({}),
        ] {
            assert_eq!(Cursor::from_json(&bad), Err(NotACursor), "{bad}");
        }
    }
}

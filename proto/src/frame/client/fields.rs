//! Fields of a frame by name, with words for what is wrong with one.

use serde_json::{Map, Value};

use super::super::MAX_INTEGER;

/// Most characters of a cid.
const MAX_CID: usize = 36;

/// The fields of a frame; unknown ones are left alone.
pub(super) struct Fields(pub(super) Map<String, Value>);

impl Fields {
    /// A string that must be there.
    pub(super) fn string(&mut self, name: &str) -> Result<String, String> {
        match self.0.remove(name) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(format!("`{name}`: expected a string, got {}", kind(&other))),
            None => Err(format!("`{name}` is missing: expected a string")),
        }
    }

    /// A string that may be absent or null.
    pub(super) fn string_if_any(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.string(name).map(Some),
        }
    }

    /// An integer from 0 that may be absent or null.
    pub(super) fn integer_if_any(&mut self, name: &str) -> Result<Option<u64>, String> {
        let integer = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.as_u64().filter(|number| *number < MAX_INTEGER),
            Some(_) => None,
        };
        integer
            .map(Some)
            .ok_or_else(|| format!("`{name}`: expected an integer from 0 to 2^53 - 1"))
    }

    /// An integer from 0 that must be there.
    pub(super) fn integer(&mut self, name: &str) -> Result<u64, String> {
        self.integer_if_any(name)?
            .ok_or_else(|| format!("`{name}` is missing: expected an integer from 0 to 2^53 - 1"))
    }

    /// True or false, which must be there.
    pub(super) fn boolean(&mut self, name: &str) -> Result<bool, String> {
        match self.0.get(name) {
            Some(Value::Bool(is)) => Ok(*is),
            _ => Err(format!("`{name}`: expected true or false")),
        }
    }

    /// A time that may be absent or null: RFC 3339, as milliseconds since 1970-01-01 UTC. Times before
    /// that read as it.
    pub(super) fn time_if_any(&mut self, name: &str) -> Result<Option<u64>, String> {
        let Some(text) = self.string_if_any(name)? else {
            return Ok(None);
        };
        crate::time::parse(&text)
            .map(Some)
            .ok_or_else(|| format!("`{name}`: expected a time like 2026-11-27T07:00:00Z"))
    }

    /// The cid, when it is one.
    pub(super) fn cid(&mut self) -> Option<String> {
        match self.0.remove("cid") {
            Some(Value::String(cid)) if is_cid(&cid) => Some(cid),
            _ => None,
        }
    }
}

fn is_cid(text: &str) -> bool {
    (1..=MAX_CID).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

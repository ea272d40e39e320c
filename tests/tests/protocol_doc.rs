//! Replays the conversation of docs/PROTOCOL.md, so that the page stays true.

use serde_json::Value;
use tests::{Browser, Parlor};

const PAGE: &str = include_str!("../../docs/PROTOCOL.md");

/// Whether a frame is as the page shows it: the same fields everywhere, and the same values, but for
/// what differs from run to run.
fn matches(shown: &Value, found: &Value, path: &str) -> Result<(), String> {
    const VARY: &[&str] = &[
        "session",
        "id",
        "token",
        "server_time",
        "ts",
        "gen",
        "message",
    ];
    match (shown, found) {
        (Value::Object(shown), Value::Object(found)) => {
            let keys: Vec<_> = shown.keys().collect();
            if keys != found.keys().collect::<Vec<_>>() {
                return Err(format!(
                    "{path}: fields {keys:?} shown, {:?} found",
                    found.keys()
                ));
            }
            shown.iter().try_for_each(|(key, value)| {
                if VARY.contains(&key.as_str()) && value.is_string() {
                    return found[key]
                        .is_string()
                        .then_some(())
                        .ok_or(format!("{path}.{key}"));
                }
                matches(value, &found[key], &format!("{path}.{key}"))
            })
        }
        (Value::Array(shown), Value::Array(found)) if shown.len() == found.len() => shown
            .iter()
            .zip(found)
            .try_for_each(|(a, b)| matches(a, b, &format!("{path}[]"))),
        (shown, found) if shown == found => Ok(()),
        (shown, found) => Err(format!("{path}: {shown} shown, {found} found")),
    }
}

#[tokio::test]
async fn the_conversation_of_the_page_happens() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let mut browser = Browser::connect(parlor.address("http").await).await;
    let transcript = PAGE
        .split("```transcript\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let mut replayed = 0;
    for line in transcript.expect("the page has a transcript").lines() {
        let (direction, frame) = line.split_at(2);
        let shown: Value = serde_json::from_str(frame).expect(line);
        if direction == "> " {
            browser.say(shown).await;
            continue;
        }
        let op = shown["op"].as_str().expect("a server frame has an op");
        let found = browser.expect(op).await;
        if let Err(why) = matches(&shown, &found, op) {
            panic!("{why}\nshown {shown}\nfound {found}");
        }
        replayed += 1;
    }
    assert!(replayed >= 15, "only {replayed} frames were shown");
    assert_eq!(browser.settle().await, Vec::<Value>::new());
}

//! Replays the conversations of docs/PROTOCOL.md, so that the page stays true.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proto::frame::ServerFrame;
use serde_json::Value;
use tests::{Browser, Parlor};

const PAGE: &str = include_str!("../../docs/PROTOCOL.md");

/// Fields whose values differ from run to run.
const VARY: &[&str] = &[
    "session",
    "id",
    "token",
    "server_time",
    "ts",
    "edited_at",
    "gen",
    "retry_after_ms",
    "delay_ms",
];

/// Whether a frame is as the page shows it: the same fields everywhere, and the same values, but for
/// what differs from run to run.
fn matches(shown: &Value, found: &Value, path: &str) -> Result<(), String> {
    match (shown, found) {
        (Value::String(elided), _) if elided == "…" => Ok(()),
        (Value::Object(shown), Value::Object(found)) => {
            let (mut keys, mut others): (Vec<_>, Vec<_>) =
                (shown.keys().collect(), found.keys().collect());
            keys.sort();
            others.sort();
            if keys != others {
                return Err(format!("{path}: fields {keys:?} shown, {others:?} found"));
            }
            shown.iter().try_for_each(|(key, value)| {
                let (found, path) = (&found[key], format!("{path}.{key}"));
                if VARY.contains(&key.as_str()) {
                    let is_alike = value.is_string() == found.is_string();
                    return is_alike.then_some(()).ok_or(path);
                }
                matches(value, found, &path)
            })
        }
        (Value::Array(shown), Value::Array(found)) if shown.len() == found.len() => shown
            .iter()
            .zip(found)
            .try_for_each(|(a, b)| matches(a, b, &format!("{path}[]"))),
        (shown, found) if shown == found => Ok(()),
        // A line of the classic protocol begins with the time.
        (Value::String(shown), Value::String(found))
            if without_time(shown).is_some() && without_time(shown) == without_time(found) =>
        {
            Ok(())
        }
        (shown, found) => Err(format!("{path}: {shown} shown, {found} found")),
    }
}

/// What follows `2026-11-23 07:00:00:`.
fn without_time(line: &str) -> Option<&str> {
    let (time, text) = line.split_at_checked(20)?;
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let shape = time
        .bytes()
        .map(|byte| if is_digit(byte) { b'0' } else { byte });
    shape.eq(*b"0000-00-00 00:00:00:").then_some(text)
}

/// The contents of the page's blocks of a kind.
fn blocks(kind: &str) -> impl Iterator<Item = &'static str> {
    let begin = format!("```{kind}\n");
    PAGE.match_indices(&begin)
        .filter_map(|(at, begin)| PAGE[at + begin.len()..].split("```").next())
        .collect::<Vec<_>>()
        .into_iter()
}

/// Replays one conversation; the number of frames that were received as shown.
async fn replay(transcript: &str) -> usize {
    let mut lines = transcript.lines().peekable();
    let command = lines.next().unwrap();
    let flags = command.strip_prefix("* parlor serve").expect(command);
    let flags: Vec<_> = flags.split_whitespace().collect();
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &flags).await;
    let gateway = parlor.address("http").await;
    let classic = lines.next_if(|line| line.starts_with("* at "));
    let mut browser = match classic.and_then(|line| line.strip_prefix("* at /ws/chat/")) {
        Some(path) => Browser::classic(gateway, path).await,
        None => Browser::connect(gateway).await,
    };
    let mut received = 0;
    for line in lines {
        let (direction, frame) = line.split_at(2);
        match (direction, frame) {
            ("> ", frame) => browser.say(serde_json::from_str(frame).expect(line)).await,
            ("< ", frame) => {
                let shown: Value = serde_json::from_str(frame).expect(line);
                let found = match shown["op"].as_str() {
                    Some(op) => browser.expect(op).await,
                    None => browser.receive().await.unwrap(),
                };
                if let Err(why) = matches(&shown, &found, "") {
                    panic!("{why}\nshown {shown}\nfound {found}");
                }
                received += 1;
            }
            ("* ", "its five events") => drop(browser.events("lobby", 5).await),
            ("* ", "the server is told to stop") => {
                parlor.signal(nix::sys::signal::Signal::SIGTERM);
            }
            ("* ", what) => {
                let code = what.strip_prefix("closed ").expect(line);
                assert_eq!(browser.closed().await, code.parse::<u16>().unwrap());
            }
            _ => panic!("what is {line:?}?"),
        }
    }
    received
}

#[tokio::test]
async fn the_conversations_of_the_page_happen() {
    let mut received = Vec::new();
    for transcript in blocks("transcript") {
        received.push(replay(transcript).await);
    }
    assert_eq!(received.len(), 5);
    assert!(received.iter().sum::<usize>() >= 40, "{received:?}");
}

/// The one frame that no short conversation brings about.
#[test]
fn a_gap_looks_as_the_page_shows_it() {
    let shown: Vec<_> = blocks("frame").map(str::trim).collect();
    let gap = ServerFrame::Gap {
        room: "lobby",
        from: 1_201,
        to: 9_876,
    };
    assert_eq!(shown, [gap.encode()]);
}

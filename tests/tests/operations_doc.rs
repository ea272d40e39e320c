//! The tables of `docs/OPERATIONS.md` are what a person on call goes by: they say what is so.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;
use tests::{Browser, Parlor, http::get, process};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The cells of the rows of a section's first table, without its head.
fn table(section: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/OPERATIONS.md")).unwrap();
    let heading = format!("\n## {section}\n");
    let (_, section) = text.split_once(&heading).expect("the section is there");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let cells = |row: &str| -> Vec<_> {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let rows: Vec<_> = rows.skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "{heading} has a table");
    rows
}

/// What stands between backquotes.
fn quoted(cell: &str) -> BTreeSet<String> {
    let parts = cell.split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}

/// Metrics by name: kind and labels.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

fn documented() -> Metrics {
    let row = |row: Vec<String>| {
        let kind = row[1].split(' ').next().unwrap().to_owned();
        let name = quoted(&row[0]).into_iter().next().unwrap();
        (name, (kind, quoted(&row[1])))
    };
    table("Metrics").into_iter().map(row).collect()
}

/// As an OpenMetrics answer tells them; counters and infos with the suffix of their samples.
fn told(answer: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in answer.lines() {
        if let Some(words) = line.strip_prefix("# TYPE ") {
            let (name, kind) = words.split_once(' ').unwrap();
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            metrics.insert(
                format!("{name}{suffix}"),
                (kind.to_owned(), BTreeSet::new()),
            );
        } else if let Some((name, rest)) = line.split_once('{') {
            let labels = rest.split('}').next().unwrap().split(',');
            let labels = labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
            let name = name.strip_suffix("_bucket").unwrap_or(name);
            let (_, known) = metrics.get_mut(name).expect("a type comes first");
            known.extend(labels.filter(|label| label != "le"));
        }
    }
    metrics
}

#[tokio::test]
async fn every_metric_is_in_the_table_with_its_kind_and_labels() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let gateway = parlor.address("http").await;
    let mut ann = Browser::enter(gateway, "Ann", &["lobby"]).await;
    ann.send("lobby", "c1", "hi").await;
    // What is told by label is there once there is something to count.
    assert!(get(gateway, "/ws").await.starts_with("HTTP/1.1 4"));
    let mut wrong = Browser::connect(gateway).await;
    wrong.say(json!({"op": "ping", "t": 1})).await;
    assert_eq!(wrong.closed().await, 4001, "an op before hello");
    ann.settle().await;

    let answer = get(parlor.address("metrics").await, "/metrics").await;
    assert!(!answer.contains("lobby"), "no label per room");
    let (told, documented) = (told(&answer), documented());
    for (name, found) in &told {
        assert_eq!(documented.get(name), Some(found), "{name} in OPERATIONS.md");
    }
    for name in documented.keys() {
        assert!(told.contains_key(name), "{name} is not told: {told:#?}");
    }
}

/// The options that a command's help lists, and their defaults.
async fn helped(command: &[&str]) -> BTreeMap<String, String> {
    let output = process::command().args(command).arg("--help").output();
    let text = String::from_utf8(output.await.unwrap().stdout).unwrap();
    let mut options: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("      --") {
            options.push(line.trim().to_owned());
            inside = true;
        } else if let Some(last) = options.last_mut()
            && inside
            && line.starts_with("       ")
        {
            last.push(' ');
            last.push_str(line.trim());
        } else {
            inside = false;
        }
    }
    let option = |text: &String| {
        let name = text.split(' ').next().unwrap().to_owned();
        let default = text
            .rsplit_once("[default: ")
            .and_then(|(_, default)| default.strip_suffix(']'));
        (name, default.unwrap_or("–").to_owned())
    };
    options.iter().map(option).collect()
}

#[tokio::test]
async fn every_flag_is_in_the_table_with_its_default_and_its_commands() {
    let mut documented = BTreeMap::new();
    for row in table("Flags") {
        let [flag, of, default] = [&row[0], &row[1], &row[2]];
        documented.insert(
            flag.trim_matches('`').to_owned(),
            (of.clone(), default.clone()),
        );
    }
    let mut found: BTreeMap<String, (BTreeSet<String>, String)> = BTreeMap::new();
    for command in ["serve", "gateway", "room-service"] {
        for (flag, default) in helped(&[command]).await {
            let (of, known) = found
                .entry(flag)
                .or_insert((BTreeSet::new(), default.clone()));
            of.insert(command.to_owned());
            assert_eq!(*known, default);
        }
    }
    for (flag, (of, default)) in &found {
        let row = documented.remove(flag);
        let (words, documented) = row.unwrap_or_else(|| panic!("{flag} is not in OPERATIONS.md"));
        assert_eq!(*default, documented, "the default of {flag}");
        let all = words == "all" && of.len() == 3;
        assert!(
            all || quoted(&words) == *of,
            "{flag} is of {of:?}, not of {words}"
        );
    }
    for (flag, default) in helped(&["rooms", "list"]).await {
        let (_, documented) = documented.remove(&flag).expect("in OPERATIONS.md");
        assert_eq!(default, documented, "the default of {flag}");
    }
    // What is left is of other operators' verbs.
    for (flag, (of, _)) in &documented {
        let verb = quoted(of).into_iter().next();
        let verb = verb.unwrap_or_else(|| panic!("nothing has {flag}"));
        let words: Vec<_> = verb.split(' ').collect();
        assert!(
            helped(&words).await.contains_key(flag),
            "{verb} has no {flag}"
        );
    }
}

/// Every Rust file of our crates, tests beside the code left out.
fn sources(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("tests.rs")
        {
            found.push(fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_line_worth_an_alert_is_logged_at_its_level_in_these_words() {
    let mut found = Vec::new();
    for part in ["broker", "gateway", "room-service", "parlor"] {
        sources(&root().join(part).join("src"), &mut found);
    }
    for row in table("Log lines") {
        let (line, level) = (quoted(&row[0]).into_iter().next().unwrap(), &row[1]);
        let call = format!("{level}!(");
        let logged = |source: &String| {
            source.match_indices(&call).any(|(at, _)| {
                let statement = source[at..].split(")\n").next().unwrap();
                statement.contains(&format!("\"{line}"))
            })
        };
        assert!(found.iter().any(logged), "nothing logs {line:?} as {level}");
    }
}

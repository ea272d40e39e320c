//! What operators see of the `parlor` command: data on stdout, words on stderr, and exit codes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::Value;
use tests::{Browser, Parlor, process};

/// Runs `parlor` to its end: exit code, stdout, stderr.
async fn cli(args: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = process::command();
    let command = command.args(args).envs(env.iter().copied());
    let output = tokio::time::timeout(tests::PATIENCE, command.output());
    let output = output.await.expect("it ends").unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The stdout of a call that succeeds, which says nothing else.
async fn done(args: &[&str], env: &[(&str, &str)]) -> String {
    let (code, stdout, stderr) = cli(args, env).await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}");
    stdout
}

/// The words of a call that fails with `code`, and has no data.
async fn fails(code: i32, args: &[&str]) -> String {
    let (found, stdout, stderr) = cli(args, &[]).await;
    assert_eq!((found, stdout.as_str()), (code, ""), "{args:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    stderr
}

#[tokio::test]
async fn rooms_are_shown_as_a_table_and_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let server = parlor.address("admin").await.to_string();
    let list = ["rooms", "list", "--server", &server];
    let (code, stdout, stderr) = cli(&list, &[]).await;
    assert!(code == 0 && stdout.starts_with("NAME "), "{stdout}{stderr}");
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert!(stderr.contains("no rooms yet"), "{stderr}");

    let mut ann = Browser::enter(parlor.address("http").await, "Ann", &["聊天室"]).await;
    ann.send("聊天室", "c1", "hi").await;
    let table = done(&list, &[]).await;
    assert!(
        table.lines().count() == 2 && table.contains("聊天室"),
        "{table}"
    );
    let json = done(&[&list[..], &["--output", "json"]].concat(), &[]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["name"], "rooms/聊天室", "{json}");
    let get = ["rooms", "get", "聊天室", "--server", &server];
    let one = done(&[&get[..], &["--output", "json"]].concat(), &[]).await;
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(
        (&one["headSeq"], &one["messageCount"]),
        (&1.into(), &1.into())
    );

    // The same out of the environment; flags count more.
    let env = [
        ("PARLOR_SERVER", server.as_str()),
        ("PARLOR_OUTPUT", "json"),
    ];
    let from_environment = done(&["rooms", "list"], &env).await;
    assert_eq!(
        serde_json::from_str::<Value>(&from_environment).unwrap(),
        json
    );
    let env = [("PARLOR_SERVER", "127.0.0.1:1"), ("PARLOR_OUTPUT", "json")];
    let with_flags = [&list[..], &["--output", "table"]].concat();
    assert_eq!(done(&with_flags, &env).await, table);
}

#[tokio::test]
async fn what_goes_wrong_is_one_line_and_an_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let parlor = Parlor::serve(dir.path(), &[]).await;
    let server = parlor.address("admin").await.to_string();
    let words = fails(1, &["rooms", "get", "nowhere", "--server", &server]).await;
    assert!(
        words.contains("nowhere") && words.contains("ROOM_NOT_FOUND"),
        "{words}"
    );
    let words = fails(1, &["rooms", "get", "a b", "--server", &server]).await;
    assert!(words.contains("NAME_INVALID"), "{words}");
    let words = fails(1, &["rooms", "list", "--server", "127.0.0.1:1"]).await;
    assert!(
        words.contains("127.0.0.1:1") && words.contains("--admin-listen"),
        "{words}"
    );
    for (args, word) in [
        (&["rooms", "list", "--server", "nowhere"][..], "--server"),
        (&["rooms", "list", "--page-size", "0"], "--page-size"),
        (&["rooms", "list", "--output", "xml"], "--output"),
        (&["rooms", "get"], "<ROOM>"),
        (&["rooms"], "list"),
    ] {
        let words = fails(2, args).await;
        assert!(words.contains(word), "{args:?}: {words}");
    }
}

#[tokio::test]
async fn a_token_file_opens_what_a_token_protects() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, content).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let right = file("right", "0123456789abcdef0123456789abcdef\n");
    let other = file("other", "fedcba9876543210fedcba9876543210\n");
    let short = file("short", "short\n");
    let missing = dir.path().join("missing").to_str().unwrap().to_owned();
    let token = ["--admin-token-file", &right];
    let parlor = Parlor::serve(&dir.path().join("data"), &token).await;
    let server = parlor.address("admin").await.to_string();
    let list = ["rooms", "list", "--output", "json", "--server", &server];
    let with = |file| [&list[..], &["--token-file", file]].concat();

    let words = fails(1, &list).await;
    assert!(
        words.contains("TOKEN_MISSING") && words.contains("--token-file"),
        "{words}"
    );
    let words = fails(1, &with(&other)).await;
    assert!(words.contains("TOKEN_WRONG"), "{words}");
    for wrong in [&short, &missing] {
        let words = fails(2, &with(wrong)).await;
        assert!(
            words.contains(wrong) && words.contains("--token-file"),
            "{words}"
        );
    }
    assert_eq!(done(&with(&right), &[]).await, "[]\n");
}

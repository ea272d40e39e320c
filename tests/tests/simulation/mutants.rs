//! The mutants beside this file are patches, so that none of them is ever in the product. `mutants/run` tries
//! them; this only holds that each still fits the tree.

use std::{fs, path::Path};

/// Whether every hunk finds its lines in the file that it changes.
fn fits(patch: &str, root: &Path) -> Result<(), String> {
    let mut file = String::new();
    let mut hunks = 0;
    let mut lines = patch.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(path) = line.strip_prefix("--- a/") {
            let text = fs::read_to_string(root.join(path));
            file = text.map_err(|error| format!("{path}: {error}"))?;
        } else if line.starts_with("@@ ") {
            let mut before = String::new();
            while let Some(line) = lines.next_if(|line| line.starts_with([' ', '-', '+'])) {
                if !line.starts_with('+') {
                    before.push('\n');
                    before.push_str(&line[1..]);
                }
            }
            hunks += 1;
            if !file.contains(&before) {
                return Err(format!("the lines of {line} are not there:{before}"));
            }
        }
    }
    if hunks == 0 {
        return Err("it changes nothing".to_owned());
    }
    Ok(())
}

#[test]
fn every_mutant_still_fits_the_tree() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = tests.parent().unwrap();
    let mut tried = 0;
    for entry in fs::read_dir(tests.join("tests/simulation/mutants")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|is| is == "patch") {
            let patch = fs::read_to_string(&path).unwrap();
            if let Err(why) = fits(&patch, root) {
                panic!("{}: {why}", path.display());
            }
            tried += 1;
        }
    }
    assert_eq!(tried, 12);
}

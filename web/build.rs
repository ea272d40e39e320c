//! Has the crate compiled again when a file is added to an embedded folder: `include_dir` itself
//! notices only changes of files it has seen.

fn main() {
    for folder in ["assets", "client", "lang", "pages"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}

//! The order of the house: who may use what, and how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

const MOST_LINES: usize = 600;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The Rust files below a folder, at any depth.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}")) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder:?} has no Rust files");
    found
}

/// Whether code, comments aside, names a path such as `tokio`.
fn names(file: &Path, path: &str) -> bool {
    fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .any(|line| {
            line.match_indices(path).any(|(at, _)| {
                let ident = |c: char| c.is_alphanumeric() || c == '_';
                let begins = !line[..at].ends_with(ident);
                let rest = &line[at + path.len()..];
                begins && (rest.starts_with("::") || rest.starts_with(';'))
            })
        })
}

/// Asserts that of the files of a package's `src` only those listed name a path.
fn assert_only(package: &str, path: &str, allowed: &[&str]) {
    let src = workspace().join(package).join("src");
    for file in rust_files(&src) {
        let name = file.strip_prefix(&src).unwrap().display().to_string();
        assert!(
            !names(&file, path) || allowed.contains(&name.as_str()),
            "{package}/src/{name} uses {path}, which only {allowed:?} may"
        );
    }
}

#[test]
fn no_file_is_too_long() {
    for package in ["spec", "reference", "conformance"] {
        for folder in ["src", "tests"] {
            for file in rust_files(&workspace().join(package).join(folder)) {
                let lines = fs::read_to_string(&file).unwrap().lines().count();
                assert!(
                    lines <= MOST_LINES,
                    "{file:?} has {lines} lines, over {MOST_LINES}"
                );
            }
        }
    }
}

#[test]
fn the_packages_know_each_other_in_one_direction() {
    assert_only("spec", "collab_reference", &[]);
    assert_only("spec", "collab_conformance", &[]);
    assert_only("reference", "collab_conformance", &[]);
    assert_only("conformance", "collab_reference", &["reach.rs"]);
}

#[test]
fn each_library_stays_in_its_file() {
    assert_only(
        "conformance",
        "tokio_tungstenite",
        &["wire.rs", "wire/frames.rs"],
    );
    assert_only("conformance", "jsonschema", &["validate.rs"]);
    assert_only("conformance", "libtest_mimic", &["mimic.rs"]);
    assert_only("conformance", "proptest", &["properties/generate.rs"]);
    assert_only("conformance", "hyper", &["http.rs"]);
    assert_only("reference", "libc", &["heap.rs"]);
    assert_only("conformance", "indicatif", &["progress.rs"]);
    assert_only("conformance", "anstream", &["paint.rs"]);
    assert_only("conformance", "tokio_rustls", &["dial.rs", "target.rs"]);
    let rustix = ["exec/process.rs", "exec/memory.rs", "strain.rs"];
    assert_only("conformance", "rustix", &rustix);
    let page = "report/html";
    let drawn = ["diff.rs", "tree/draw.rs"].map(|file| format!("{page}/{file}"));
    assert_only(
        "conformance",
        "similar",
        &drawn.each_ref().map(|file| file.as_str()),
    );
    assert_only(
        "conformance",
        "pulldown_cmark",
        &["report/html/annotated.rs"],
    );
    assert_only("conformance", "axum", &[]);
    assert_only("reference", "axum", &["http.rs"]);
    assert_only("reference", "tokio_tungstenite", &["connection.rs"]);
}

#[test]
fn what_is_pure_stays_pure() {
    let src = workspace().join("conformance/src");
    let mut pure = rust_files(&src.join("monitor"));
    pure.extend(["model.rs", "monitor.rs", "trace.rs", "pattern.rs"].map(|file| src.join(file)));
    let reference = workspace().join("reference/src");
    pure.extend(rust_files(&reference.join("text")));
    pure.extend(
        [
            "text.rs",
            "log.rs",
            "document.rs",
            "presence.rs",
            "profiles.rs",
            "violation.rs",
        ]
        .map(|file| reference.join(file)),
    );
    let properties = [
        "activity", "document", "generate", "kind", "observe", "plan", "replica",
    ];
    let fuzz = [
        "change", "fields", "frame", "json", "kind", "make", "shape", "texts", "verdict", "whole",
    ];
    pure.extend(fuzz.map(|file| src.join(format!("fuzz/{file}.rs"))));
    pure.push(src.join("numbers.rs"));
    pure.extend(properties.map(|file| src.join(format!("properties/{file}.rs"))));
    for file in pure {
        for path in [
            "tokio",
            "rand",
            "std::net",
            "Instant",
            "SystemTime",
            "futures_util",
        ] {
            assert!(!names(&file, path), "{file:?} uses {path}");
        }
    }
}

#[test]
fn the_oracle_shares_nothing() {
    let model = fs::read_to_string(workspace().join("conformance/src/model.rs")).unwrap();
    let code = model.split("#[cfg(test)]").next().unwrap();
    for line in code.lines().filter(|line| line.starts_with("use ")) {
        let known = [
            "use std::",
            "use collab_spec::id::",
            "use collab_spec::message::",
        ];
        assert!(
            known.iter().any(|known| line.starts_with(known)),
            "model.rs: {line}"
        );
    }
}

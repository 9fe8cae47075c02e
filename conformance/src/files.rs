//! Files on the disk: the schemas and API documents written, scenario files checked, the report saved.

use std::fs;
use std::path::{Path, PathBuf};

use collab_spec::report::{REPORT_VERSION, Report};
use collab_spec::scenario::Scenario;
use collab_spec::{api, schema};
use serde_json::Value;

use crate::validate;

/// Writes the API documents into a folder and every schema into the folder `schemas` in it, where the
/// documents refer to them, and gives the files written.
///
/// Errors: a file that can't be written.
pub fn write_schemas(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        format!("{} can't be written: {error}", path.display())
    };
    let schemas = folder.join("schemas");
    fs::create_dir_all(&schemas).map_err(|error| failed(&schemas, &error))?;
    let documents = api::all().into_iter();
    let documents = documents.map(|file| (folder.join(file.file_name), file.text()));
    let files = schema::all().into_iter();
    let files = files.map(|file| (schemas.join(&file.file_name), file.text()));
    documents
        .chain(files)
        .map(|(path, text)| match fs::write(&path, text) {
            Ok(()) => Ok(path),
            Err(error) => Err(failed(&path, &error)),
        })
        .collect()
}

/// Writes a report as JSON.
///
/// Errors: a file that can't be written.
pub fn write_report(path: &Path, report: &Report) -> Result<(), String> {
    let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
    fs::write(path, text + "\n")
        .map_err(|error| format!("{} can't be written: {error}", path.display()))
}

/// Reads a report.
///
/// # Errors
/// One sentence: it can't be read, or is no report of a version that this suite knows.
pub fn read_report(path: &Path) -> Result<Report, String> {
    let name = path.display();
    let text =
        fs::read_to_string(path).map_err(|error| format!("{name} can't be read: {error}"))?;
    let no_report = |error: &dyn std::fmt::Display| {
        format!("{name} is no report, as `run --report FILE.json` writes it: {error}")
    };
    let value: Value = serde_json::from_str(&text).map_err(|error| no_report(&error))?;
    if let Some(version) = value.get("version").and_then(Value::as_u64)
        && version != u64::from(REPORT_VERSION)
    {
        return Err(format!(
            "{name} is a report of version {version}; this suite reads version {REPORT_VERSION}"
        ));
    }
    serde_json::from_value(value).map_err(|error| no_report(&error))
}

/// What is wrong with a scenario file, a sentence each; nothing where it is right.
pub fn scenario_problems(path: &Path) -> Vec<String> {
    let (scenario, mut problems) = parsed(path);
    problems.extend(scenario.and_then(|scenario| misplaced(path, &scenario)));
    problems
}

/// The scenario of a file, wherever it lies.
///
/// Errors: what is wrong with it, a sentence each.
pub fn scenario(path: &Path) -> Result<Scenario, Vec<String>> {
    match parsed(path) {
        (Some(scenario), problems) if problems.is_empty() => Ok(scenario),
        (_, problems) => Err(problems),
    }
}

/// The scenario of a file, where it has the form of one, and what is wrong with it.
fn parsed(path: &Path) -> (Option<Scenario>, Vec<String>) {
    let only = |problem: String| (None, vec![problem]);
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return only(format!("the file can't be read: {error}")),
    };
    let value: Value = match serde_json::from_str(&text) {
        Ok(value) => value,
        Err(error) => return only(format!("the file is not JSON: {error}")),
    };
    let mut problems = validate::scenario_problems(&value);
    match serde_json::from_str::<Scenario>(&text) {
        Ok(scenario) => {
            problems.extend(scenario.problems());
            (Some(scenario), problems)
        }
        Err(error) if problems.is_empty() => only(error.to_string()),
        // The schema has said it already.
        Err(_) => (None, problems),
    }
}

/// The id is the path, in the specification's folder.
fn misplaced(path: &Path, scenario: &Scenario) -> Option<String> {
    let without_ending = path.with_extension("");
    let is_there = without_ending.ends_with(&scenario.id);
    (!is_there).then(|| {
        format!(
            "/id: the id {:?} is not the end of the path {:?}",
            scenario.id,
            without_ending.display().to_string()
        )
    })
}

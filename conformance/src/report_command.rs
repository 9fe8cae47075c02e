//! The command `collab-conformance report`: JSON reports in another form.

use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use collab_conformance::files;
use collab_conformance::report::{badge, html, junit, markdown, tap};
use collab_spec::report::Report;

use crate::cli::{Cli, Form};
use crate::{HARNESS, PASSED, Stop, USAGE, show};

/// The name of the command, as completions have it.
const NAME: &str = "collab-conformance";

pub(crate) fn run(form: Form, given: &[String], out: Option<&Path>) -> Result<u8, Stop> {
    let read = |given: &String| {
        let (name, path) = split(given);
        let report = files::read_report(Path::new(path)).map_err(|error| Stop(USAGE, error))?;
        Ok((name.map(str::to_owned), report))
    };
    let reports = given.iter().map(read).collect::<Result<Vec<_>, Stop>>()?;
    let text = match form {
        Form::Html => html::write(&html::named(reports)),
        Form::Spec => html::annotated::write(&html::named(reports)),
        Form::Junit => junit::write(single(&reports)?).map_err(|error| Stop(HARNESS, error))?,
        Form::Tap => tap::write(single(&reports)?),
        Form::Markdown => markdown::write(single(&reports)?),
        Form::Badge => badge::write(single(&reports)?),
    };
    let Some(out) = out else { return show(&text) };
    written(out, std::fs::write(out, text))
}

/// What comes of writing to what `--out` names.
fn written(out: &Path, result: io::Result<()>) -> Result<u8, Stop> {
    let sentence = |error| format!("--out {} can't be written: {error}", out.display());
    result.map_err(|error| Stop(USAGE, sentence(error)))?;
    Ok(PASSED)
}

/// The name and the path of `NAME=FILE.json`; a file that is there is taken as it is.
fn split(given: &str) -> (Option<&str>, &str) {
    match given.split_once('=') {
        Some((name, path)) if !name.is_empty() && !Path::new(given).exists() => (Some(name), path),
        _ => (None, given),
    }
}

/// The report of a form that takes one.
fn single(reports: &[(Option<String>, Report)]) -> Result<&Report, Stop> {
    match reports {
        [(_, report)] => Ok(report),
        _ => {
            let sentence = "this form takes one report; html and spec take several";
            Err(Stop(USAGE, sentence.to_owned()))
        }
    }
}

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<u8, Stop> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
    show(&String::from_utf8_lossy(&text))
}

pub(crate) fn man(out: Option<&Path>) -> Result<u8, Stop> {
    if let Some(out) = out {
        let made = std::fs::create_dir_all(out);
        return written(
            out,
            made.and_then(|()| clap_mangen::generate_to(Cli::command(), out)),
        );
    }
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut text);
    rendered.map_err(|error| Stop(HARNESS, error.to_string()))?;
    show(&String::from_utf8_lossy(&text))
}

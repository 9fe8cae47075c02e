//! The command `collab-conformance report`: a JSON report in another form.

use std::path::Path;

use clap::CommandFactory as _;
use collab_conformance::files;
use collab_conformance::report::{badge, junit, markdown, tap};

use crate::cli::{Cli, Form};
use crate::{HARNESS, PASSED, Stop, USAGE, show};

/// The name of the command, as completions have it.
const NAME: &str = "collab-conformance";

pub(crate) fn run(form: Form, path: &Path, out: Option<&Path>) -> Result<u8, Stop> {
    let report = files::read_report(path).map_err(|error| Stop(USAGE, error))?;
    let text = match form {
        Form::Junit => junit::write(&report).map_err(|error| Stop(HARNESS, error))?,
        Form::Tap => tap::write(&report),
        Form::Markdown => markdown::write(&report),
        Form::Badge => badge::write(&report),
    };
    let Some(out) = out else { return show(&text) };
    std::fs::write(out, text).map_err(|error| {
        let sentence = format!("--out {} can't be written: {error}", out.display());
        Stop(USAGE, sentence)
    })?;
    Ok(PASSED)
}

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<u8, Stop> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
    show(&String::from_utf8_lossy(&text))
}

pub(crate) fn man(out: Option<&Path>) -> Result<u8, Stop> {
    if let Some(out) = out {
        let written = std::fs::create_dir_all(out)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), out));
        return match written {
            Ok(()) => Ok(PASSED),
            Err(error) => {
                let sentence = format!("--out {} can't be written: {error}", out.display());
                Err(Stop(USAGE, sentence))
            }
        };
    }
    let mut text = Vec::new();
    let written = clap_mangen::Man::new(Cli::command()).render(&mut text);
    written.map_err(|error| Stop(HARNESS, error.to_string()))?;
    show(&String::from_utf8_lossy(&text))
}

//! The page `docs/kill-matrix.md`, made of the data.

use std::fmt::Write as _;

use collab_conformance::case::{Case, Weight};
use collab_conformance::monitor;
use collab_spec::requirement::{Level, requirements};

use super::data::Matrix;
use super::{
    BROKEN_WITH, COMMAND, NAMED_OTHERWISE, STANDS_UNDER, cases_of, killed_alone, musts, reason,
};
use crate::toy::Fault;

/// How many characters of a requirement's sentence are shown.
const SENTENCE: usize = 110;

/// How many cases of a requirement are named.
const CASES: usize = 4;

/// The page.
pub(super) fn page(matrix: &Matrix, cases: &[Case]) -> String {
    let mut text = String::from("# The kill matrix\n\n");
    head(&mut text, matrix, cases);
    for requirement in requirements() {
        let id = requirement.id.as_str();
        let own = cases_of(id, cases);
        let alone = killed_alone(id, matrix, cases);
        let of_it = Fault::ALL
            .iter()
            .copied()
            .filter(|fault| fault.requirement() == id);
        let mutants: Vec<Fault> = alone
            .iter()
            .copied()
            .chain(of_it.filter(|fault| !alone.contains(fault)))
            .collect();
        if requirement.untestable.is_some() || (own.is_empty() && mutants.is_empty()) {
            continue;
        }
        let level = match requirement.level {
            Level::Must => "",
            Level::Should => " (SHOULD)",
            Level::May => " (MAY)",
        };
        let _ = writeln!(
            text,
            "\n### {id}{level}\n\n> {}\n",
            shortened(&requirement.sentence)
        );
        let shown: Vec<String> = own.iter().take(CASES).map(|id| format!("`{id}`")).collect();
        let more = match own.len().saturating_sub(CASES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let watched = match monitor::WATCHED.contains(&id) {
            true => "; watched in every case",
            false => "",
        };
        let _ = writeln!(text, "Cases: {}{more}{watched}.", shown.join(", "));
        if let Some(why) = reason(id) {
            let _ = writeln!(text, "No mutant of its own: {why}.");
        }
        if !mutants.is_empty() {
            text.push('\n');
        }
        for fault in mutants {
            mutant(&mut text, fault, matrix, cases, alone.contains(&fault));
        }
    }
    text
}

fn head(text: &mut String, matrix: &Matrix, cases: &[Case]) {
    let faults = Fault::ALL.len();
    let of = |fault: &&Fault| matrix.of(**fault).is_some();
    let played: Vec<&Fault> = Fault::ALL.iter().filter(of).collect();
    let killed = played
        .iter()
        .filter(|fault| matrix.of(***fault).is_some_and(|mutant| mutant.is_killed()))
        .count();
    let named = |fault: &&&Fault| {
        let first = matrix.of(***fault).and_then(|mutant| mutant.first(cases));
        first.is_some_and(|(requirement, _)| requirement == fault.requirement())
    };
    let first = played.iter().filter(named).count();
    let alone = musts()
        .filter(|must| !killed_alone(&must.id, matrix, cases).is_empty())
        .count();
    let costly = cases
        .iter()
        .filter(|case| case.weight >= Weight::Slow || case.own_server)
        .count();
    let _ = writeln!(
        text,
        "Wrong servers, and the cases that tell: the toy in `conformance/tests/it/toy` with each of its \
         faults, under the\nwhole suite. This page and `conformance/tests/kill-matrix.json` are made by\n\n\
         ```console\n$ {COMMAND}\n```\n\n\
         | | |\n|---|---|\n\
         | wrong servers | {faults} |\n\
         | of them some case fails | {killed} |\n\
         | of them the report names first what the fault breaks | {first} |\n\
         | cases | {} |\n\
         | MUSTs that can be observed | {} |\n\
         | of them with a mutant that their checks alone kill | {alone} |\n\
         | of them without, each with its reason | {} |\n\n\
         A **bold** mutant is killed by checks of the requirement alone: every case that fails tests it, \
         or begins with it\n(cases that choose at random aside). Behind each mutant stand the number of \
         cases that fail, and the one that the\nreport begins with. {costly} cases take long, \
         or a server of their own; each of them is\nplayed against the mutants of what it tests, and \
         against those that name it.",
        cases.len(),
        musts().count(),
        STANDS_UNDER.len() + BROKEN_WITH.len(),
    );
    if !NAMED_OTHERWISE.is_empty() {
        text.push_str(
            "\nOf these the report names another requirement first, which is as right:\n\n",
        );
        for (name, requirement, why) in NAMED_OTHERWISE {
            let _ = writeln!(text, "- {name}: `{requirement}`: {why}.");
        }
    }
    text.push_str("\n## Requirement, cases, mutants\n");
}

fn mutant(text: &mut String, fault: Fault, matrix: &Matrix, cases: &[Case], alone: bool) {
    let name = match alone {
        true => format!("**{fault:?}**"),
        false => format!("{fault:?}"),
    };
    let Some(mutant) = matrix.of(fault) else {
        let _ = writeln!(text, "- {name}: {} Not played yet.", fault.sentence());
        return;
    };
    let count = match (&mutant.contact, mutant.killers().len()) {
        (Some(_), _) => "all".to_owned(),
        (None, count) => count.to_string(),
    };
    let begins = match mutant.first(cases) {
        Some((_, case)) if mutant.contact.is_none() => format!("{count}, `{case}`"),
        Some((_, contact)) => format!("{count}, {contact}"),
        None => count,
    };
    let _ = writeln!(text, "- {name}: {} ({begins})", fault.sentence());
}

fn shortened(sentence: &str) -> String {
    if sentence.chars().count() <= SENTENCE {
        return sentence.to_owned();
    }
    let cut: String = sentence.chars().take(SENTENCE).collect();
    let cut = cut
        .rsplit_once(' ')
        .map_or(cut.as_str(), |(words, _)| words);
    format!("{cut} …")
}

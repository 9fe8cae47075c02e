//! The data behind the page: for each fault the cases that fail, and what each of them names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use collab_conformance::case::{Case, Source};
use collab_conformance::report::broken::{self, Broken, Named};
use serde::{Deserialize, Serialize};

use crate::toy::Fault;

/// What was played, and what came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Matrix {
    /// Each case with a print of it: where that is another, the case is played anew.
    pub(super) cases: BTreeMap<String, String>,
    /// Each fault by its name.
    pub(super) mutants: BTreeMap<String, Mutant>,
}

/// Requirements, the cases that name them first, and how many events each one's log has.
pub(super) type Rows = BTreeMap<String, BTreeMap<String, usize>>;

/// What the report says of the toy with a fault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mutant {
    /// The print of all cases as they were when it was played.
    pub(super) played: String,
    /// What the first contact names, where it fails: then no case is played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) contact: Option<String>,
    /// The case that names the fault's requirement in the shortest time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) quickest: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) failed: Rows,
    /// The same of cases that have waited in vain.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) late: Rows,
    /// Cases that failed without naming a requirement.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) unnamed: BTreeSet<String>,
}

impl Mutant {
    /// The cases that fail, each with the requirement that it names first.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let rows = self.failed.iter().chain(&self.late);
        let named = rows.flat_map(|(requirement, of)| {
            let name = Some(requirement.as_str());
            of.keys().map(move |case| (case.as_str(), name))
        });
        named.chain(self.unnamed.iter().map(|case| (case.as_str(), None)))
    }

    /// The cases that fail.
    pub(super) fn killers(&self) -> BTreeSet<&str> {
        self.failures().map(|(case, _)| case).collect()
    }

    /// Whether anything fails.
    pub(super) fn is_killed(&self) -> bool {
        self.contact.is_some() || !self.killers().is_empty()
    }

    /// The requirement that the report names first, and its first case.
    pub(super) fn first<'a>(&'a self, cases: &'a [Case]) -> Option<(&'a str, &'a str)> {
        if let Some(contact) = &self.contact {
            return Some((contact, "the first contact"));
        }
        let first = self.ranked(cases).into_iter().next()?;
        Some((first.requirement, first.cases[0].case))
    }

    /// What the report lists as broken.
    pub(super) fn ranked<'a>(&'a self, cases: &'a [Case]) -> Vec<Broken<'a>> {
        let by_id: BTreeMap<&str, &Case> =
            cases.iter().map(|case| (case.id.as_str(), case)).collect();
        let rows = [(&self.failed, false), (&self.late, true)];
        let named = rows.into_iter().flat_map(|(rows, late)| {
            let by_id = &by_id;
            rows.iter().flat_map(move |(requirement, of)| {
                of.iter().filter_map(move |(id, events)| {
                    let case = by_id.get(id.as_str())?;
                    Some(Named {
                        case: id,
                        profile: case.profile,
                        tests: &case.requirements,
                        requirement,
                        late,
                        events: *events,
                    })
                })
            })
        });
        let tested = broken::counted(cases.iter().map(|case| case.requirements.as_slice()));
        broken::rank(named.collect(), &tested)
    }

    /// What was known of other cases, and what is known now.
    pub(super) fn and(mut self, later: Self) -> Self {
        for (rows, more) in [
            (&mut self.failed, later.failed),
            (&mut self.late, later.late),
        ] {
            for (requirement, of) in more {
                rows.entry(requirement).or_default().extend(of);
            }
        }
        self.unnamed.extend(later.unnamed);
        Self {
            contact: self.contact.or(later.contact),
            quickest: self.quickest.or(later.quickest),
            ..self
        }
    }

    /// Forgets what it has of some cases.
    pub(super) fn forget(&mut self, is_forgotten: impl Fn(&str) -> bool) {
        for rows in [&mut self.failed, &mut self.late] {
            rows.values_mut()
                .for_each(|of| of.retain(|id, _| !is_forgotten(id)));
            rows.retain(|_, of| !of.is_empty());
        }
        self.unnamed.retain(|id| !is_forgotten(id));
        self.quickest.take_if(|id| is_forgotten(id));
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kill-matrix.json")
}

impl Matrix {
    /// What is committed; nothing where there is no file yet.
    pub(super) fn load() -> Self {
        match fs::read_to_string(path()) {
            Ok(text) => serde_json::from_str(&text).unwrap(),
            Err(_) => Self::default(),
        }
    }

    /// Writes the file anew, whole or not at all.
    pub(super) fn save(&self) {
        let unfinished = path().with_extension("json.new");
        fs::write(&unfinished, self.text()).unwrap();
        fs::rename(&unfinished, path()).unwrap();
    }

    /// The file: a line a fault, so that a change shows.
    fn text(&self) -> String {
        let lines = |of: Vec<String>| format!("{{\n{}\n}}", of.join(",\n"));
        let cases = self
            .cases
            .iter()
            .map(|(id, print)| format!("{id:?}:{print:?}"));
        let mutants = self
            .mutants
            .iter()
            .map(|(name, mutant)| format!("{name:?}:{}", serde_json::to_string(mutant).unwrap()));
        format!(
            "{{\"cases\":{},\n\"mutants\":{}}}\n",
            lines(cases.collect()),
            lines(mutants.collect())
        )
    }

    pub(super) fn of(&self, fault: Fault) -> Option<&Mutant> {
        self.mutants.get(&format!("{fault:?}"))
    }
}

/// The prints of cases: of a scenario's steps, of a frame, of the file that a case in code stands in.
pub(super) fn prints(cases: &[Case]) -> BTreeMap<String, String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    let mut print_of = |case: &Case| match &case.source {
        Source::Scenario(scenario) => {
            print([serde_json::to_string(&scenario.steps).unwrap().as_str()])
        }
        Source::Frame(row) => print([row.text.as_str()]),
        Source::Code(file) => {
            let text = files
                .entry(file)
                .or_insert_with(|| fs::read_to_string(workspace.join(file)).unwrap());
            let is_comment = |line: &&str| line.trim_start().starts_with("//");
            print(text.lines().filter(|line| !is_comment(line)))
        }
    };
    cases
        .iter()
        .map(|case| (case.id.clone(), print_of(case)))
        .collect()
}

/// Eight digits that change with a text (FNV-1a).
pub(super) fn print<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let bytes = texts.into_iter().flat_map(str::bytes);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{:08x}", hash as u32)
}

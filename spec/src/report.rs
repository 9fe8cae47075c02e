//! The JSON report of a run: what every other output is made from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::profile::Profile;
use crate::requirement::Level;

/// The version of the report's format; it grows when a field changes its meaning or goes.
pub const REPORT_VERSION: u32 = 1;

/// The outcome of one run of the suite against one target.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "report", example = json!({"version":1,"suite":{"name":"collab-conformance","version":"0.1.0"},"target":"ws://127.0.0.1:8000/ws","started_at_ms":1_700_000_000_000_u64,"duration_ms":5_000,"summary":{"pass":1,"fail":0,"warn":0,"not_applicable":0,"untestable":0,"error":0},"cases":[{"id":"sync/at-head","title":"a client at the head gets the text","verdict":"pass","profile":"core","requirements":["sync.at-head"],"duration_ms":3}],"requirements":[{"id":"sync.at-head","level":"MUST","verdict":"pass","cases":["sync/at-head"]}]}))]
pub struct Report {
    /// The version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// The suite that made the report.
    pub suite: Suite,
    /// The WebSocket URL of the server under test.
    pub target: String,
    /// When the run started, in milliseconds since 1970-01-01 UTC.
    pub started_at_ms: u64,
    /// How long the run took, in milliseconds.
    pub duration_ms: u64,
    /// How late bytes came on purpose, as `--jitter` takes it: `MS:SEED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<String>,
    /// The profiles that the server offers, as the first contact found; none where there was none.
    #[serde(default)]
    pub profiles: Vec<Profile>,
    /// The server that the suite started itself, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerReport>,
    /// The cases counted by verdict.
    pub summary: Summary,
    /// Every case of the run, in the suite's order.
    pub cases: Vec<CaseReport>,
    /// Every requirement that the run could speak of.
    pub requirements: Vec<RequirementReport>,
}

/// The suite's name and version.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Suite {
    /// The name of the program.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A server that the suite started itself, and how each of its instances ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerReport {
    /// The command that starts it.
    pub command: String,
    /// The URL with `{port}` in it, where it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How many instances were started.
    pub started: usize,
    /// The instances that have ended, the first to end first.
    pub exits: Vec<ServerExit>,
}

/// How one instance of the server ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerExit {
    /// Why it ended.
    pub why: ExitReason,
    /// The exit status in words, such as `exit code 1` or `signal 9`.
    pub status: String,
    /// The exit code, where the process has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended the process, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// How long the instance lived, in milliseconds.
    pub lived_ms: u64,
    /// The cases under way when it ended by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<String>,
    /// The last lines of its stderr; kept where it did not end as it was told to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stderr_tail: Vec<String>,
    /// The last lines of its stdout; kept where it did not end as it was told to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stdout_tail: Vec<String>,
}

/// Why an instance of the server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// It was told to by SIGTERM.
    Terminated,
    /// A case ended it by SIGKILL.
    Killed,
    /// It was told to by SIGTERM, did not end in time, and was ended by SIGKILL.
    Overdue,
    /// It stopped answering, and was ended by SIGKILL.
    Hung,
    /// By itself.
    Died,
    /// By itself or by SIGKILL, before it took connections.
    NeverReady,
}

impl ExitReason {
    /// Whether the server failed.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Hung | Self::Died)
    }
}

/// How often a case was played, where that was asked for. Its verdict is the worst of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repeats {
    /// How often it was played, or found not to be playable.
    pub played: usize,
    /// How often the verdict was `fail` or `error`.
    pub failed: usize,
    /// How often the verdict was `warn`.
    pub warned: usize,
}

/// A figure that a case has taken, for a person to look at or a later run to compare with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Measurement {
    /// What was measured, such as `memory before`.
    pub name: String,
    /// The figure.
    pub value: u64,
    /// Its unit, such as `bytes`.
    pub unit: String,
}

/// The cases of a run, counted by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Cases that the server passed.
    pub pass: usize,
    /// Cases in which the server broke a MUST.
    pub fail: usize,
    /// Cases in which the server broke a SHOULD, and no MUST.
    pub warn: usize,
    /// Cases of profiles that the server does not offer.
    pub not_applicable: usize,
    /// Cases whose condition could not be brought about with this target.
    pub untestable: usize,
    /// Cases in which the harness failed.
    pub error: usize,
}

impl Summary {
    /// Counts cases.
    pub fn of(cases: &[CaseReport]) -> Self {
        let mut summary = Self::default();
        for case in cases {
            let count = match case.verdict {
                Verdict::Pass => &mut summary.pass,
                Verdict::Fail => &mut summary.fail,
                Verdict::Warn => &mut summary.warn,
                Verdict::NotApplicable => &mut summary.not_applicable,
                Verdict::Untestable => &mut summary.untestable,
                Verdict::Error => &mut summary.error,
            };
            *count += 1;
        }
        summary
    }
}

/// What a run says of one case.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The server did what it must.
    Pass,
    /// The server broke a MUST.
    Fail,
    /// The server broke a SHOULD, and no MUST.
    Warn,
    /// The server does not offer the case's profile.
    NotApplicable,
    /// The case's condition could not be brought about with this target.
    Untestable,
    /// The harness failed; nothing is said of the server.
    Error,
}

/// One case of a run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CaseReport {
    /// The case's id, such as `sync/replay-mid`.
    pub id: String,
    /// What a right server does in it.
    pub title: String,
    /// The scenario file that it was read from, where it is none of the suite's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// The profile that the case belongs to.
    pub profile: Profile,
    /// Further profiles that the case needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Profile>,
    /// The requirements that the case tests.
    pub requirements: Vec<String>,
    /// How long the case took, in milliseconds.
    pub duration_ms: u64,
    /// What went wrong, for a person; nothing where nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why it is known to end so, where a list of known failures says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// How often it was played, where that was to be more than once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
    /// The figures that the case has taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
    /// How the server ended in this case, where it failed so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<ServerExit>,
    /// Each breach that the case found, the first in time first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breaches: Vec<Breach>,
    /// The frames of all connections in the order of time; kept for cases that did not pass, and with
    /// `--verbose` for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<FrameReport>,
}

impl CaseReport {
    /// A case of the profile `core` of which nothing is known but how it ended.
    pub fn new(id: impl Into<String>, title: impl Into<String>, verdict: Verdict) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            file: None,
            verdict,
            profile: Profile::Core,
            needs: Vec::new(),
            requirements: Vec::new(),
            duration_ms: 0,
            message: None,
            known: None,
            repeats: None,
            measurements: Vec::new(),
            exit: None,
            breaches: Vec::new(),
            frames: Vec::new(),
        }
    }
}

/// One requirement seen broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Breach {
    /// The requirement.
    pub requirement: String,
    /// What was seen, in one sentence.
    pub what: String,
    /// What should have come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What came instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub got: Option<String>,
    /// The index in `frames` of the frame that showed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<usize>,
    /// Whether it is that nothing came in time, which may have another breach as its cause.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// One event on the wire, as the suite saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FrameReport {
    /// Microseconds since the case began.
    pub at_us: u64,
    /// The connection's name in the case.
    pub connection: String,
    /// Who sent it.
    pub from: Sender,
    /// `text`, `binary`, `close`, `open`, `end`, or what else happened.
    pub kind: String,
    /// The text, cut where it is long, or a description.
    pub content: String,
}

/// Who sent a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sender {
    /// The suite.
    Client,
    /// The server under test.
    Server,
}

/// What a run says of one requirement.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RequirementReport {
    /// The requirement.
    pub id: String,
    /// MUST, SHOULD or MAY.
    pub level: Level,
    /// `fail` where any case saw it broken, `warn` where it is a SHOULD, `pass` where its cases all
    /// passed as far as they could be played, `untestable` where the specification or the target gives
    /// no way to see it.
    pub verdict: Verdict,
    /// The cases of this run that test it.
    pub cases: Vec<String>,
}

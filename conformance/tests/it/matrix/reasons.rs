//! What the matrix can't show, each with its reason: the page says them, and tests hold them to it.

/// MUSTs without a mutant that their checks alone kill, since cases of other requirements stand on them.
/// Each has a mutant that the report names by it.
pub(super) const STANDS_UNDER: &[&str] = &[
    "transport.one-document",
    "transport.fragments",
    "transport.any-json",
    "transport.integers",
    "transport.takes-64k",
    "resume.replay",
    "hello.fields",
    "hello.capabilities",
    "op.fields",
    "op.ins",
    "ack.fields",
    "resync.fields",
    "resync.head",
    "session.ack-first",
    "session.sync-before-live",
    "session.new-document",
    "session.outlives-connections",
    "session.same-client-id",
    "session.vanished",
    "seq.one-order",
    "seq.from-baseline",
    "seq.sender-order",
    "sync.zero",
    "sync.replay-or-resync",
    "sync.at-head",
    "sync.beyond-head",
    "sync.newcomer-alone",
    "sync.never-closes",
    "sync.live-during",
    "echo.faithful",
    "submit.answer-private",
    "submit.answer-order",
    "submit.del-again",
    "submit.kept",
    "profiles.ack-unasked",
    "resume.ack",
    "resume.zero",
    "resume.at-head",
    "resume.op-epoch-invalid",
    "resume.epoch-not-content",
    "runs.takes-max-run",
    "runs.text",
    "runs.one-echo",
    "runs.count-echoed",
    "presence.ephemeral",
    "presence.anchors",
    "crdt.tombstone-children",
    "crdt.delete-any",
    "crdt.pending-accepted",
    "crdt.pending-hidden",
    "crdt.pending-applies",
    "crdt.order-free",
];

/// MUSTs that nothing breaks alone: their mutants are among those that are named otherwise.
pub(super) const BROKEN_WITH: &[&str] = &[
    "hello.default-last-seen",
    "op.value",
    "echo.fields",
    "session.early-ops",
    "session.sent-before-close",
    "session.no-effect-of-hello",
    "profiles.unknown-ignored",
    "profiles.mixed",
    "state.text",
    "runs.del",
    "presence.no-seq",
];

/// Faults of which the report names another requirement first: the fault, what is named, and why that
/// is as right.
pub(super) const NAMED_OTHERWISE: &[(&str, &str, &str)] = &[
    (
        "SiblingsByArrival",
        "crdt.replica-order",
        "it breaks the order by replica id as much as that by lamport",
    ),
    (
        "ReplicaFirst",
        "crdt.sibling-order",
        "ids are compared where siblings are put in order",
    ),
    (
        "DeleteToggles",
        "crdt.order-free",
        "whether an element is visible then depends on when its deletes come",
    ),
    (
        "ChildrenLast",
        "crdt.order-free",
        "the place of an insert then depends on what has come before it",
    ),
    (
        "IdsGlued",
        "close.only-then",
        "an insert is refused whose glued id another one has, and is right",
    ),
    (
        "ArrayOfOneTaken",
        "close.order",
        "an array is taken for a message where it is to be refused before its names are read",
    ),
    (
        "ResendOfConnectionOnly",
        "submit.same-insert",
        "an insert that comes again on another connection seems to be another one with its id",
    ),
    (
        "PendingIdFree",
        "submit.id-taken",
        "the id of an element that waits is a taken one",
    ),
    (
        "MessageIdOfAll",
        "crdt.delete-any",
        "a delete of an element of the one whose message id it has is refused",
    ),
    (
        "ForgetsWhenAlone",
        "submit.kept",
        "what is forgotten is what has to be kept of ops",
    ),
    (
        "RefusedIdBurnt",
        "submit.msg-id-stays-free",
        "it says of message ids what the other says of all effects",
    ),
    (
        "RefusedTakesSeq",
        "close.no-effect",
        "a seq that is taken is an effect of the refused op",
    ),
    (
        "ReplayOfOthers",
        "submit.answer-order",
        "the answer to what comes again is missing inside a replay, as is the op",
    ),
    (
        "LastSeenIsOne",
        "sync.zero",
        "a missing L is 0, and 0 is answered with a resync",
    ),
    (
        "ResyncAlways",
        "resume.replay",
        "with `resume` a MUST stands beside the SHOULD",
    ),
    (
        "ResyncWithTombstones",
        "submit.resend",
        "texts are wrong at once after a delete, wherever one is",
    ),
    (
        "LiveBeforeSync",
        "sync.zero",
        "an echo comes where the sync is due",
    ),
    (
        "EarlyOpsLost",
        "seq.fan-out",
        "the first contact sends its op at once, and misses its echo",
    ),
    (
        "SeqTakenByJoin",
        "seq.dense",
        "a seq that no op has is a gap",
    ),
    (
        "SeqOfServer",
        "seq.from-baseline",
        "the seqs that other documents take are gaps",
    ),
    (
        "BusyClosed",
        "cost.any-length",
        "long documents take many messages",
    ),
    (
        "OthersNotEchoed",
        "seq.from-baseline",
        "who gets an op's successor without the op sees a gap",
    ),
    (
        "SameClientNotEchoed",
        "seq.from-baseline",
        "who gets an op's successor without the op sees a gap",
    ),
    (
        "EchoOriginLost",
        "seq.one-order",
        "two connections get different echoes of one op",
    ),
    (
        "SecondConnectionRefused",
        "session.ack-first",
        "a right hello gets no ack",
    ),
    (
        "LastOpsLost",
        "close.binary",
        "the op before a binary message is lost as is that before a close",
    ),
    (
        "LastOpsTorn",
        "close.binary",
        "the op before a binary message is lost as is that before the end",
    ),
    (
        "InvalidIgnored",
        "close.unknown-type",
        "an unknown type is one way not to fit",
    ),
    (
        "IdsInvalid",
        "submit.msg-id-reused",
        "a message id that is used again is a breach of the rules on ids",
    ),
    (
        "OpClientTrimmed",
        "transport.names-exact",
        "the names that are compared are trimmed",
    ),
    (
        "MarksDropped",
        "echo.faithful",
        "the op of a client whose name has a mark is echoed without it",
    ),
    (
        "KeysFolded",
        "sync.never-closes",
        "the field has another name",
    ),
    (
        "UnknownProfileRefused",
        "hello.capabilities",
        "the names that a server does not know are ignored along with the field",
    ),
    (
        "PlainForgotten",
        "seq.fan-out",
        "who has no profile gets no echoes",
    ),
    (
        "OpEpochRefused",
        "resume.epoch-not-content",
        "an op with an epoch is refused when it comes again",
    ),
    (
        "EpochCompared",
        "profiles.off-is-core",
        "the field is unknown where the profile is off",
    ),
    (
        "StateDeletedShown",
        "state.elements",
        "a deleted element that is shown is a wrong element",
    ),
    (
        "ShownLate",
        "presence.newest",
        "a state that comes after null stands against it",
    ),
    (
        "PresenceTakesSeq",
        "seq.dense",
        "a seq that no op has is a gap",
    ),
    (
        "SnapshotOfFirst",
        "presence.replaced",
        "the state of an older connection was replaced",
    ),
    (
        "RunInUtf16",
        "text.verbatim",
        "what is cut into halves is not the text that was sent",
    ),
    (
        "RunCrToLf",
        "echo.faithful",
        "an echo then differs from what was sent",
    ),
    (
        "CountIgnored",
        "runs.one-echo",
        "a delete of many is echoed as one of a single element",
    ),
    (
        "RunTakenWhereOff",
        "close.schema",
        "a value of several characters does not fit where the profile is off",
    ),
    (
        "CountTakenWhereOff",
        "transport.unknown-fields",
        "the field is unknown where the profile is off",
    ),
    (
        "CountCheckedWhereOff",
        "transport.unknown-fields",
        "the field is unknown where the profile is off",
    ),
    (
        "WaitingRunCut",
        "runs.state-pending",
        "what waits is shown by the state",
    ),
    (
        "DeleteWithinRun",
        "runs.state-pending",
        "what a delete waits for is shown by the state",
    ),
    (
        "DeleteWaitsWhole",
        "runs.state-pending",
        "what a delete waits for is shown by the state",
    ),
    (
        "RunTakesOneSeq",
        "runs.one-echo",
        "a run is one echo with as many seqs as elements",
    ),
    (
        "DeleteTakesOneSeq",
        "runs.one-echo",
        "a delete is one echo with as many seqs as elements",
    ),
    (
        "DeleteSeqsOfExisting",
        "runs.one-echo",
        "a delete is one echo with as many seqs as elements",
    ),
    (
        "SplitKeepsCount",
        "runs.one-echo",
        "an echo then has more elements than seqs",
    ),
    (
        "ReplayOfAllSingles",
        "runs.split",
        "runs are split for those alone who can't read them",
    ),
    (
        "ReplayInsideResynced",
        "runs.replay-inside",
        "a replay from inside a run is a MUST",
    ),
    (
        "ReplayMerges",
        "runs.replay-inside",
        "a replay begins inside a run with the rest of it",
    ),
    (
        "ResentRunSequenced",
        "runs.answer",
        "a run that comes again is answered, not sequenced",
    ),
    (
        "RunContentById",
        "submit.msg-id-reused",
        "another run under a used message id is a reuse",
    ),
    (
        "RunContentByLength",
        "submit.msg-id-reused",
        "another run under a used message id is a reuse",
    ),
    (
        "WaitingRunIdsFree",
        "crdt.pending-id-taken",
        "the ids of a run that waits are taken, each of them",
    ),
    (
        "DeletedRunIdsFree",
        "submit.id-taken",
        "the ids of a deleted run are taken, each of them",
    ),
    (
        "InsideMeansSame",
        "submit.id-taken",
        "the ids inside a run are taken, each of them",
    ),
    (
        "RefusedRunHalfTaken",
        "crdt.lamport-above-parent",
        "a run that is refused for its lamports is then half taken",
    ),
    (
        "RefusedRunHalfKept",
        "close.no-effect",
        "what is kept of a refused run is an effect of it",
    ),
    (
        "PendingDeleteWhole",
        "runs.state-pending",
        "what a delete of many waits for is shown by the state",
    ),
    (
        "SlowLosesEchoes",
        "cost.any-length",
        "the writer of a long document is slow at times",
    ),
];

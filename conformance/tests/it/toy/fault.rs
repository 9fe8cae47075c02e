//! The faults, each with the sentence that describes it, the requirement that it breaks, and the
//! cases that must notice.

/// Declares the faults as an enum and as a table.
macro_rules! faults {
    ($($name:ident: $sentence:literal, $requirement:literal, [$($case:literal),+];)+) => {
        /// A mistake of the toy.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Fault {
            $(#[doc = $sentence] $name,)+
            /// A handshake that comes in pieces is refused; cases don't send any.
            PiecesRefused,
            /// No mistake: no profile is offered.
            OffersNothing,
            /// No mistake: without the profile `resume`, an even L gets a resync.
            ResyncsTheEven,
            /// No mistake: `state` alone is offered.
            OffersState,
        }

        impl Fault {
            /// Every fault.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];

            /// What the toy does wrong, in one sentence.
            pub(crate) fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)+ _ => "" }
            }

            /// The requirement that a failure must name.
            pub(crate) fn requirement(self) -> &'static str {
                match self { $(Self::$name => $requirement,)+ _ => "" }
            }

            /// The beginnings of the ids of the cases that are played; one of them must fail.
            pub(crate) fn cases(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($case),+],)+ _ => &[] }
            }
        }
    };
}

faults! {
    // The text.
    SiblingsAscending: "Siblings stand oldest first.", "crdt.sibling-order", ["crdt/"];
    SiblingsByArrival: "Siblings stand in the order in which they arrived.", "crdt.sibling-order", ["crdt/"];
    ReplicaFirst: "Ids are compared by replica before lamport.", "crdt.lamport-order", ["crdt/"];
    LamportAsText: "Lamports are compared as text, so 9 is above 10.", "crdt.lamport-order", ["crdt/"];
    LamportIn32Bits: "Lamports are kept in 32 bits.", "crdt.lamport-order", ["crdt/"];
    ReplicaAscending: "Equal lamports are put in ascending order of replicas.", "crdt.replica-order", ["crdt/"];
    ReplicaInUtf16: "Replicas are compared by UTF-16 code units.", "crdt.replica-order", ["crdt/"];
    ReplicaFolded: "Replicas are compared without regard to case.", "crdt.replica-order", ["crdt/"];
    ReplicaByLength: "Shorter replicas stand below longer ones.", "crdt.replica-order", ["crdt/"];
    EarlyInsertLost: "An insert whose parent is not there yet is echoed and then forgotten.", "crdt.pending-applies", ["crdt/"];
    EarlyInsertAtRoot: "An insert whose parent is not there yet goes to the root.", "crdt.pending-hidden", ["crdt/"];
    EarlyDeleteLost: "A delete whose target is not there yet is forgotten.", "crdt.pending-applies", ["crdt/"];
    EarlyOpRefused: "An op whose dependency is not there yet is refused.", "crdt.pending-accepted", ["crdt/"];
    DeleteTakesChildren: "A delete takes the element's children with it.", "crdt.tombstone-children", ["crdt/"];
    DeleteToggles: "A second delete brings the element back.", "crdt.tombstone", ["crdt/", "submit/"];
    ForeignDeleteRefused: "A client may delete its own elements only.", "crdt.delete-any", ["crdt/"];
    DepthLimited: "Text deeper than 963 elements is cut.", "cost.any-length", ["crdt/", "cost/"];
    TagsReplaced: "Tag characters, of which some flags are made, are replaced.", "text.verbatim", ["text/flags"];
    JoinersLost: "The text of a resync has lost the joiner of some families.", "text.verbatim", ["text/"];
    ScriptsStripped: "Tags of scripts are stripped from the text of a resync.", "resync.text", ["text/scripts"];
    TornAt65536: "A character across 65,536 UTF-16 units is torn in the text of a resync.", "resync.text", ["runs/two-units"];
    TextComposed: "The text of a resync is normalised.", "text.verbatim", ["text/"];
    NulDropped: "NUL characters are dropped from echoes.", "text.verbatim", ["text/", "frames/"];
    CrToLf: "CR becomes LF in echoes.", "text.verbatim", ["text/", "frames/"];
    ChildrenLast: "The children of an element stand behind all its siblings.", "crdt.walk", ["crdt/"];
    RootByName: "Every id of a replica named root is the root.", "crdt.root", ["crdt/", "frames/op-ins"];
    WaitedStandsLast: "An insert that has waited stands behind all its siblings.", "crdt.order-free", ["crdt/", "runs/", "state/"];
    IdsGlued: "Ids are kept as the lamport and the replica written one behind the other.", "crdt.element-id", ["crdt/ids"];
    LamportJumpRefused: "A lamport above 2^40 is refused.", "crdt.any-lamport", ["crdt/", "frames/op-"];

    // The rules on ids.
    LamportUnchecked: "An insert's lamport may be that of its parent, or lower.", "crdt.lamport-above-parent", ["crdt/", "submit/"];
    ReplicaUnchecked: "An insert may carry another client's replica id.", "crdt.own-replica", ["crdt/", "submit/"];
    ResendSequenced: "A resent op gets a second seq.", "submit.resend", ["submit/"];
    ResendUnanswered: "A resent op is dropped without an answer.", "submit.answer", ["submit/"];
    ResendBroadcast: "The answer to a resent op goes to everyone.", "submit.answer-private", ["submit/"];
    ResendAnsweredTwice: "A resent op is answered twice.", "submit.answer", ["submit/"];
    ResendAtHead: "The answer to a resent op carries the head as its seq.", "submit.answer", ["submit/"];
    ResendOfConnectionOnly: "Resent ops are known again on the same connection only.", "submit.resend", ["submit/"];
    ResendRefused: "A resent op is refused.", "submit.answer", ["submit/"];
    SameInsertSequenced: "The same insert under a new message id is sequenced again.", "submit.same-insert", ["submit/"];
    SameInsertRefused: "The same insert under a new message id is refused.", "submit.same-insert", ["submit/"];
    SameInsertNewName: "The same insert under a new message id is answered under that id.", "submit.same-insert", ["submit/"];
    SameInsertBurnsId: "The new message id of a same insert counts as used.", "submit.msg-id-stays-free", ["submit/"];
    DeleteAgainDropped: "A second delete of an element is answered with the first.", "submit.del-again", ["submit/"];
    DeleteAgainRefused: "A delete of a deleted element is refused.", "submit.del-again", ["submit/"];
    ContentByFirstUnit: "Values are compared by their first UTF-16 unit.", "submit.msg-id-reused", ["submit/"];
    ContentTrimmed: "Values are compared trimmed.", "submit.msg-id-reused", ["submit/"];
    IndexOf16Bits: "An op with a seq above 65,536 that is sent again is refused.", "submit.answer", ["runs/seqs"];
    MessageIdReused: "A message id may be used again with other content.", "submit.msg-id-reused", ["submit/"];
    MessageIdMeansSame: "An op with a used message id is taken for the same, whatever it holds.", "submit.msg-id-reused", ["submit/"];
    IdTakenAccepted: "A second insert with a taken id is accepted.", "submit.id-taken", ["submit/"];
    IdTakenIgnoresParent: "A taken id with another parent is taken for the same insert.", "submit.id-taken", ["submit/"];
    IdTakenIgnoresValue: "A taken id with another value is taken for the same insert.", "submit.id-taken", ["submit/"];
    TombstoneIdFree: "The id of a deleted element may be inserted anew.", "submit.id-taken", ["submit/", "crdt/"];
    PendingIdFree: "The id of an insert that waits may be inserted anew.", "crdt.pending-id-taken", ["submit/", "crdt/"];
    MessageIdOfAll: "Message ids of different clients are mixed up.", "submit.scope", ["submit/"];
    UnknownFieldsCompared: "Unknown fields are part of an op's content.", "submit.content", ["submit/"];
    CutForgetsIds: "Message ids and inserts of a client are forgotten when its connection breaks.", "submit.resend", ["submit/", "properties/lossy"];
    ForgetsWhenAlone: "Message ids are forgotten when the last connection ends.", "submit.resend", ["submit/", "session/"];
    RefusedIdBurnt: "The message id of a refused op counts as used.", "close.no-effect", ["submit/", "close/"];
    RefusedTakesSeq: "A refused op takes a seq.", "seq.dense", ["seq/"];
    AnswerOvertakes: "The answer to a resent op goes out before what waits.", "submit.answer-order", ["submit/"];
    DeletedForgotten: "The message id of an insert is forgotten once its element is deleted.", "submit.kept", ["submit/", "session/"];

    // Sync.
    ReplayFromL: "A replay begins with L itself.", "sync.replay-exact", ["sync/"];
    ReplaySkipsFirst: "A replay begins with L + 2.", "sync.replay-exact", ["sync/"];
    ReplayMissesLast: "A replay ends one op early.", "sync.replay-exact", ["sync/"];
    ReplayReversed: "A replay goes backwards.", "sync.replay-exact", ["sync/"];
    ReplayOfOthers: "A replay leaves out the client's own ops.", "sync.replay-exact", ["sync/"];
    ReplayRenamed: "A replay carries the receiver as the origin.", "seq.one-order", ["sync/"];
    ReplayOfZero: "L = 0 is answered with a replay of everything.", "sync.zero", ["sync/"];
    ReplayThenResync: "A replay is followed by a resync.", "sync.replay-or-resync", ["sync/"];
    ReplayOverflows: "A replay of 256 ops and more ends in 1013.", "sync.never-closes", ["sync/"];
    ReplayDoublesLast: "The last op of a replay comes once more, as a live echo.", "sync.replay-exact", ["sync/"];
    LiveDuringReplayLost: "What comes while a replay of 100 ops is sent is lost.", "sync.live-during", ["sync/"];
    SyncLate: "The sync comes a little after the ack, and live echoes come between them.", "session.sync-before-live", ["sync/", "session/"];
    ResyncToAll: "A resync goes to everyone in the document.", "sync.newcomer-alone", ["sync/"];
    LastSeenIsOne: "A hello without last_seen_server_seq is taken for one with 1.", "hello.default-last-seen", ["sync/", "frames/hello"];
    NothingAtHead: "L = H is answered with the ack alone.", "sync.at-head", ["sync/"];
    NothingBeyondHead: "L > H is answered with the ack alone.", "sync.beyond-head", ["sync/"];
    BeyondHeadRefused: "L > H is refused.", "sync.never-closes", ["sync/", "frames/"];
    ResyncTwice: "The resync is sent twice.", "sync.zero", ["sync/"];
    ResyncAlways: "Every L is answered with a resync.", "sync.replay-kept", ["sync/"];
    ResyncStale: "The resync's text lacks the last op.", "resync.text", ["sync/", "crdt/"];
    ResyncWithTombstones: "The resync's text still has the deleted characters.", "resync.text", ["sync/", "crdt/"];
    ResyncBehind: "The resync's seq is one below the head.", "resync.head", ["sync/"];
    ResyncWithoutText: "The text of an emptied document is left out.", "resync.fields", ["sync/", "crdt/", "hello/"];
    AckBehind: "The ack carries the head of before the last op.", "ack.fields", ["sync/", "session/"];
    AckTwice: "The ack is sent twice.", "session.ack-first", ["session/"];
    AckAfterResync: "The resync goes before the ack.", "session.ack-first", ["session/"];
    LiveBeforeSync: "The newest echo goes out once more before the sync.", "seq.from-baseline", ["sync/", "seq/"];
    JoinMissesEchoes: "Ops sequenced within 20 ms of a join are not echoed to who has joined.", "seq.fan-out", ["seq/", "sync/"];
    EarlyOpsLost: "Ops sent behind the hello without waiting are lost.", "session.early-ops", ["session/"];

    // Sequencing and fan-out.
    SeqFromZero: "The first op gets seq 0.", "transport.server-valid", ["seq/"];
    SeqSkipsOnResend: "A resent op takes a seq that nobody sees.", "submit.resend", ["submit/"];
    SeqTakenByJoin: "A join takes a seq.", "session.no-effect-of-hello", ["session/"];
    SeqOfServer: "Seqs are counted over all documents.", "session.documents-apart", ["session/"];
    SenderNotEchoed: "The sender gets no echo.", "seq.fan-out", ["seq/"];
    OthersNotEchoed: "Only the sender gets the echo.", "seq.fan-out", ["seq/"];
    SameClientNotEchoed: "Other connections of the sender's client id get no echo.", "session.same-client-id", ["session/", "seq/"];
    EchoEverywhere: "Echoes go to the connections of all documents.", "transport.one-document", ["session/"];
    EchoTwice: "Every echo is sent twice.", "seq.from-baseline", ["seq/"];
    EchoWithExtras: "Unknown fields of an op are passed on.", "echo.exact-fields", ["echo/", "frames/"];
    EchoWithServerField: "Echoes carry a field of the server's own.", "echo.exact-fields", ["echo/", "seq/"];
    EchoOriginLost: "Every echo names the receiver as the origin.", "echo.fields", ["echo/", "seq/"];
    EchoComposed: "The names in echoed ids are normalised.", "echo.faithful", ["text/", "echo/"];
    OpsOvertake: "Of two ops that come together the second is handled first.", "seq.sender-order", ["seq/"];
    SeqsRounded: "The seqs of echoes have six digits, and zeros behind them.", "seq.dense", ["runs/seqs"];
    PlainSeqs: "The seqs of echoes are written with a fraction, from 20 on.", "transport.plain-integers", ["seq/", "sync/", "session/"];

    // The session.
    DocIdFolded: "Document ids are compared without regard to case.", "transport.names-exact", ["transport/"];
    DocIdTrimmed: "Document ids are trimmed.", "transport.names-exact", ["transport/"];
    DocIdComposed: "Document ids are normalised.", "transport.names-exact", ["transport/"];
    DocIdOfForm: "A plus in a document id is a blank.", "transport.names-exact", ["transport/"];
    ZeroIsNoName: "A document id of 0 is taken for none.", "transport.names", ["transport/names"];
    DocIdCut: "Document ids are cut after 64 characters.", "transport.names", ["transport/"];
    DocumentForgotten: "A document is forgotten when its last connection ends.", "session.outlives-connections", ["session/"];
    OldConnectionKicked: "A second connection of a client id ends the first.", "session.same-client-id", ["session/"];
    SecondConnectionRefused: "A second connection of a client id is refused.", "session.same-client-id", ["session/"];
    LastOpsLost: "Ops right before a clean close are lost.", "session.sent-before-close", ["session/"];
    LastOpsTorn: "Ops right before an end of TCP without a close frame are lost.", "session.sent-before-close", ["session/sent-before-the-end"];
    VanishedEndsOthers: "A connection that breaks ends the others of its document.", "session.vanished", ["session/"];
    NewDocumentAtLastSeen: "A new document begins with the seq that its first client has seen.", "session.new-document", ["session/", "sync/"];
    EmptyCloseUnanswered: "A close frame without a code is not answered.", "close.client-close", ["close/codes"];
    CloseUnanswered: "A close frame of a client is not answered.", "close.client-close", ["close/", "session/"];
    HealthInWords: "/health answers in words.", "http.health", ["http/"];
    NoUpgrade: "There is no WebSocket at /ws.", "transport.upgrade", ["hello/"];
    ShortLengthsLong: "The length of a short frame takes two bytes more than it needs.", "transport.upgrade", ["hello/"];
    SnapshotInBinary: "Presence snapshots are binary messages.", "transport.text-messages", ["presence/"];
    PongsCut: "Of pongs that the system takes in part, the rest is lost.", "transport.upgrade", ["transport/pings-unread"];
    FragmentsApart: "Each frame of a message is taken for a message.", "transport.fragments", ["transport/"];
    PingUnanswered: "Pings are not answered.", "transport.ping", ["transport/"];
    TypeMustBeFirst: "A message must begin with its type.", "transport.any-json", ["frames/"];
    GreatestRefused: "2^53-1 is refused.", "transport.integers", ["frames/", "sync/"];
    SurrogatesReplaced: "Lone surrogates are taken for U+FFFD.", "transport.well-formed", ["frames/"];
    NestingRefused: "Messages nested more than 16 deep are refused.", "transport.nesting", ["frames/"];
    ThirdItemIgnored: "The third item of an element id is ignored.", "transport.element-ids", ["frames/op-"];
    RootDeletable: "The root may be deleted, to no effect.", "transport.root-id", ["frames/op-"];
    LimitOf64M: "Where runs is off, messages of up to 64 MiB are taken.", "close.too-big", ["transport/"];

    // Violations.
    BinaryFails: "A binary message ends in 1011.", "close.no-1011", ["close/"];
    BinaryTaken: "A binary message is read as text.", "close.binary", ["close/"];
    SecondHelloIgnored: "A second hello is ignored.", "close.second-hello", ["close/"];
    SecondHelloJoins: "A second hello is answered with another sync.", "close.second-hello", ["close/"];
    UnknownTypeIgnored: "A message of an unknown type is ignored.", "close.unknown-type", ["frames/op-type", "close/"];
    InvalidIgnored: "A message that does not fit its schema is ignored.", "close.schema", ["frames/op-"];
    InvalidPolicy: "A message that does not fit its schema ends in 1008.", "close.schema", ["frames/op-"];
    NotJsonNormal: "A message that is not JSON ends in 1000.", "close.not-json", ["frames/op-json", "close/"];
    OtherDocTaken: "An op for another document is applied to this one.", "close.other-doc", ["close/"];
    NamesEndAtNul: "Client ids are compared up to a NUL.", "close.other-client", ["close/other-names"];
    OtherClientTaken: "An op of another client id is taken for the connection's.", "close.other-client", ["close/"];
    NoHelloNeeded: "An op before the hello is ignored.", "close.no-hello", ["close/", "session/"];
    NoHelloTimeout: "A connection without a hello stays open for ever.", "close.hello-timeout", ["session/"];
    PingsAreHellos: "A connection that pings is waited for as one that has just opened.", "close.hello-timeout", ["session/hello-timeout"];
    PongsRefused: "A pong that nobody asked for ends the connection.", "close.only-then", ["transport/pongs"];
    ConnectionExact: "A handshake must say Upgrade, and nothing else, in its Connection.", "transport.upgrade", ["transport/handshakes"];
    HelloPartForEver: "A connection on which a part of a hello has come stays open for ever.", "close.hello-timeout", ["session/hello-timeout-of-a-part"];
    AgreesToCompression: "Compression is agreed to where it is offered, and nothing is inflated.", "transport.extensions", ["transport/compressed"];
    AgreesUnasked: "Compression is agreed to, though nobody has offered it.", "transport.upgrade", ["hello/"];
    HelloTimeoutShort: "A connection without a hello is closed after a second.", "close.hello-timeout", ["session/"];
    ReasonPlain: "Close reasons lack the prefix.", "close.reason", ["close/"];
    FramingUnanswered: "A breach of RFC 6455 ends the connection without a close frame.", "close.framing", ["close/"];
    BusyClosed: "A connection that has sent 1,000 messages is closed with 1008.", "close.only-then", ["close/"];
    ViolationEndsAll: "A violation closes every connection of the document.", "close.isolated", ["close/"];
    ViolationUnflushed: "What is queued is thrown away at a violation.", "close.flush", ["close/"];
    FlushesForEver: "What waits for a client that broke a rule is sent for as long as it takes.", "close.drops-tcp", ["close/unread-violation"];
    AnswersLate: "Answers to ops that were sent again are sent 30 ms later, unless the connection has been closed.", "close.flush", ["close/flush-answers"];
    ShownBehindViolation: "What a client shows behind a violation is passed on.", "close.nothing-after", ["presence/behind-a-violation"];
    ViolationGoesOn: "Messages behind a violation are still handled.", "close.nothing-after", ["close/"];
    ViolationTakesEffect: "An op with a taken message id is refused, and sequenced all the same.", "submit.msg-id-reused", ["submit/", "close/"];
    TooBigTaken: "There is no limit on the size of messages.", "close.too-big", ["transport/"];
    SmallLimit: "Messages over 32 KiB are refused.", "transport.takes-64k", ["transport/"];
    NamesInUtf16: "Names are measured in UTF-16 code units.", "transport.names", ["frames/"];
    NamelessTaken: "A hello without client_id is one of nobody.", "hello.fields", ["frames/hello"];
    NoProfilesRefused: "A hello that asks for no profile at all is refused.", "hello.capabilities", ["frames/hello", "hello/"];
    NamelessOpTaken: "An op without client_msg_id gets one.", "op.fields", ["frames/op-"];
    EmptyInsertIgnored: "An insert without a value is ignored.", "op.ins", ["frames/op-"];
    EmptyDeleteIgnored: "A delete without an id is ignored.", "op.del", ["frames/op-"];
    UnknownOpIgnored: "An op of an unknown type is ignored.", "op.type", ["frames/op-"];
    NotUtf8Invalid: "A text that is not UTF-8 ends in 1002.", "close.not-utf8", ["close/"];
    IdsInvalid: "A breach of the rules on ids ends in 1002.", "close.ids", ["close/"];
    WordsIgnored: "A text message with the word ping is ignored.", "close.not-json", ["close/later-heart"];
    NotJsonPrivate: "A message that is not JSON ends in 4000.", "close.table-only", ["close/"];
    FloatsTaken: "1.5 is taken for the integer 1.", "close.schema", ["frames/"];

    // What is near a message that is right: the frames made from the schemas find these.
    TypeTrimmed: "The type of a message is trimmed.", "close.unknown-type", ["frames/hello-type", "fuzz/op"];
    OpTypeTrimmed: "The type of an op is trimmed.", "close.schema", ["fuzz/op"];
    OpTypeKeyTaken: "An op whose type is an object is taken for one of the type that is its key.", "op.type", ["frames/op-op-type-object"];
    OpClientTrimmed: "The client of an op is trimmed.", "close.other-client", ["fuzz/op"];
    MarksDropped: "Byte order marks are dropped from the client of an op.", "close.other-client", ["fuzz/op"];
    KeysFolded: "Names of fields are taken in any case.", "transport.unknown-fields", ["fuzz/"];
    EmptyKeyRefused: "A message with an empty field name is refused.", "transport.unknown-fields", ["fuzz/"];
    ProtoRefused: "A message with a field `__proto__` is refused.", "transport.unknown-fields", ["fuzz/"];
    OddSpacesTaken: "White space that JSON does not know is skipped.", "close.not-json", ["fuzz/"];
    CommentsTaken: "Comments are skipped.", "close.not-json", ["fuzz/"];
    NulEndsMessage: "A message ends at its first NUL.", "close.not-json", ["fuzz/"];
    LeadingZerosTaken: "Numbers may begin with a zero or a plus sign.", "close.not-json", ["frames/hello-last-seen", "fuzz/"];
    WordsOfScriptsTaken: "Values such as `undefined` are taken.", "close.not-json", ["fuzz/"];
    QuotedTaken: "A JSON string is taken for the message that it holds.", "close.not-json", ["fuzz/"];
    ArrayOfOneTaken: "An array of one message is taken for the message.", "close.not-json", ["fuzz/"];
    LamportRuleIn32Bits: "An insert's lamport is compared with 32 bits of its parent's.", "crdt.lamport-above-parent", ["crdt/lamport-below-parents-by-2-32"];
    OpEpochTrimmed: "The epoch of an op is trimmed.", "resume.other-op-epoch", ["fuzz/op-resume"];
    PresenceSizeEarly: "The size of a state is checked before the names.", "close.order", ["fuzz/presence"];

    // Profiles.
    GrantsUnasked: "The ack turns on all profiles even where none is asked for.", "profiles.ack-unasked", ["profiles/", "frames/hello"];
    GrantsAll: "Who asks for one profile gets all.", "profiles.ack", ["profiles/"];
    GrantsTwice: "A profile asked for twice is named twice.", "profiles.ack", ["profiles/"];
    GrantsUnknown: "Unknown profiles are turned on as well.", "profiles.ack", ["profiles/"];
    UnknownProfileRefused: "A hello with an unknown profile is refused.", "profiles.unknown-ignored", ["profiles/"];
    ProfilesOfDocument: "Once somebody has asked for states, everyone gets them.", "profiles.off-is-core", ["profiles/", "state/"];
    GrantsNothingUnasked: "The ack grants an empty list where nothing is asked for.", "profiles.ack-unasked", ["profiles/"];
    PlainForgotten: "Beside a connection with a profile, those without get no echoes.", "profiles.mixed", ["profiles/"];

    // The profile resume.
    EpochUnsaid: "The ack lacks the epoch.", "resume.ack", ["resume/"];
    SyncUnsaid: "The ack lacks the sync.", "resume.ack", ["resume/"];
    EpochOfConnection: "Every connection is told an epoch of its own.", "resume.one-epoch", ["resume/"];
    EpochEndsWithLast: "The epoch ends when the last connection does.", "resume.one-epoch", ["resume/"];
    SyncAlwaysReplay: "The ack always announces a replay.", "resume.zero", ["resume/"];
    EpochFolded: "The epochs of hellos are compared without regard to case.", "resume.other-epoch", ["resume/"];
    EpochIgnored: "A hello of another epoch is taken for one of this.", "resume.other-epoch", ["resume/"];
    NoEpochTaken: "A hello without an epoch is taken for one of this.", "resume.no-epoch", ["resume/"];
    AtHeadResynced: "A client at the head gets a resync.", "resume.at-head", ["resume/"];
    AtHeadRepeatsLast: "A client at the head gets the last echo again.", "resume.at-head", ["resume/"];
    BeyondHeadResumed: "A client beyond the head is taken to be at it.", "resume.beyond-head", ["resume/"];
    OpEpochIgnored: "An op of another epoch is accepted.", "resume.other-op-epoch", ["resume/"];
    OpEpochAnyShape: "An op's epoch may be anything.", "resume.op-epoch-invalid", ["resume/"];
    OpEpochRefused: "An op with an epoch is refused, whatever the epoch.", "resume.op-epoch", ["resume/"];
    EpochEchoed: "The epoch of an op is echoed.", "resume.epoch-not-content", ["resume/"];
    EpochCompared: "The epoch of an op is part of its content.", "resume.epoch-not-content", ["resume/"];
    EpochCheckedWhereOff: "The epoch of an op is looked at where the profile is off.", "profiles.off-is-core", ["profiles/"];
    ReplayAnnouncedAsResync: "A replay is announced as a resync.", "resume.replay", ["resume/"];
    HelloEpochAnyShape: "The epoch of a hello may be anything.", "resume.hello-epoch-invalid", ["frames/hello"];
    EpochNamedAgain: "After a restart all is lost, and the epochs are those of before.", "resume.new-history", ["resume/killed", "resume/restarted"];
    LastOpNotKept: "After a restart the last op is lost, and the epochs are those of before.", "resume.new-history", ["resume/killed", "resume/restarted"];

    // The profile state.
    StateAtZeroOnly: "Only the resync of a newcomer carries the state.", "state.in-resync", ["state/", "profiles/"];
    StateStale: "The state lacks the last op.", "state.elements", ["state/"];
    StateByArrival: "The elements stand in the order in which they arrived.", "state.elements", ["state/"];
    StateWithoutTombstones: "Tombstones are left out.", "state.elements", ["state/"];
    StateDeletedShown: "Tombstones still have their text.", "state.text", ["state/"];
    SpansOfOne: "Every element is a span of its own.", "state.canonical", ["state/"];
    TombstonesClaimAll: "Tombstones are said to be as many as there can be.", "state.elements", ["state/"];
    TombstonesOfOne: "Every tombstone is a span of its own.", "state.canonical", ["state/"];
    SpansOverGaps: "Spans leap over gaps between lamports.", "state.elements", ["state/"];
    SpansOverReplicas: "Spans go on over another replica's elements.", "state.elements", ["state/"];
    PendingLeftOut: "What waits is left out.", "state.pending", ["state/"];
    PendingTwice: "What waits twice is named twice.", "state.pending", ["state/"];
    PendingForEver: "What has waited is still named when it waits no more.", "state.pending", ["state/"];
    StateLeftOut: "A state of more than 10,000 spans is left out.", "state.whole", ["state/every-third"];
    StateOfLongTextsLeftOut: "A text of more than a mebibyte has no state.", "state.in-resync", ["state/of-a-long-text"];

    // The profile presence.
    PresenceToSender: "Presence goes back to its sender.", "presence.passed-on", ["presence/"];
    PresenceToPlain: "Presence goes to connections without the profile.", "profiles.off-is-core", ["presence/", "profiles/"];
    PresenceNotToTwins: "Presence does not go to other connections of the same client.", "presence.passed-on", ["presence/"];
    PresenceOffIgnored: "Presence is ignored where the profile is off.", "profiles.off-is-core", ["presence/", "profiles/"];
    PresenceWithExtras: "Unknown fields of presence are passed on.", "presence.exact-fields", ["presence/", "frames/presence"];
    PresenceWithTime: "Presence carries a field of the server's own.", "presence.exact-fields", ["presence/"];
    PresenceNullsDropped: "Fields that are null are dropped from states.", "presence.opaque", ["presence/"];
    DollarsDropped: "Fields of states that begin with a dollar sign are dropped.", "presence.opaque", ["presence/"];
    DatesRewritten: "Dates in states are written in another way.", "presence.opaque", ["presence/"];
    NullOfTwinPassedOnly: "A null from another connection of a client is passed on, and the state kept.", "presence.snapshot", ["presence/"];
    PresenceKnownOnly: "Only cursor and selection are passed on.", "presence.opaque", ["presence/", "frames/presence"];
    PresenceTakesSeq: "Presence takes a seq.", "presence.no-seq", ["presence/"];
    PresenceOlderLast: "The state before comes after the newest.", "presence.newest", ["presence/"];
    PresenceSlow: "Presence counts as what waits, and 1 MiB of it is too slow.", "presence.never-slow", ["presence/storm"];
    PresenceSizeInChars: "States are measured in characters.", "presence.too-big", ["presence/"];
    PresenceSizeEscaped: "States are measured with markup escaped.", "presence.takes-4k", ["presence/"];
    PresenceSizeOfMessage: "The whole message is measured, not the state.", "presence.takes-4k", ["presence/"];
    PresenceAnySize: "States may have any size.", "presence.too-big", ["presence/"];
    PresenceStateOptional: "Presence without a state is taken for null.", "presence.fields", ["presence/", "frames/presence"];
    PresenceStateAny: "A state that is no object is ignored.", "presence.schema", ["presence/", "frames/presence"];
    PresenceOfAnyone: "A client may show the state of another.", "presence.ids", ["presence/"];
    PresenceKept: "A state is kept for late joiners when its client has left.", "presence.ephemeral", ["presence/"];
    AnchorsChecked: "A cursor at an unknown element is refused.", "presence.anchors", ["presence/"];
    SnapshotMissing: "There is no snapshot.", "presence.snapshot", ["presence/"];
    SnapshotTwice: "The snapshot is sent twice.", "presence.snapshot", ["presence/"];
    SnapshotBeforeSync: "The snapshot goes before the resync.", "presence.snapshot", ["presence/"];
    SnapshotOfFirst: "The snapshot has the first state of each client.", "presence.snapshot", ["presence/"];
    SnapshotWithNulls: "The snapshot names clients that show nothing.", "transport.server-valid", ["presence/"];
    SnapshotOf100: "A snapshot has no more than 100 states.", "presence.snapshot", ["presence/snapshot-of-150"];
    SnapshotAtHello: "The snapshot is made at the hello, and what is shown until it goes is left out.", "presence.newest", ["presence/shown-during-a-sync"];
    ShownLate: "What a client shows is passed on 50 ms later, even where it has left.", "presence.ephemeral", ["presence/leaves-behind-updates"];
    SlowShownOn: "A client that was closed as slow is shown on.", "presence.leaving", ["presence/closed-as-slow"];
    LeavingUnsaid: "Nobody is told when a client leaves.", "presence.leaving", ["presence/"];
    LeavingCleanOnly: "Nobody is told when a connection breaks.", "presence.leaving", ["presence/"];
    LeavingErases: "An old connection that ends erases the state of the new one.", "presence.replaced", ["presence/"];

    // The profile runs: limits, and which ops are taken.
    LimitsUnsaid: "The ack lacks the limits.", "runs.limits", ["runs/"];
    LimitsWhereOff: "Every ack has limits.", "profiles.off-is-core", ["runs/", "profiles/"];
    LimitsTooLarge: "A max_run above 65,536 is announced.", "transport.server-valid", ["runs/"];
    MaxRunOverstated: "More elements are announced than are taken.", "runs.takes-max-run", ["runs/"];
    MaxRunUnchecked: "An op may have any number of elements.", "runs.max-run", ["runs/"];
    MaxRunOneLess: "An op of max_run elements is refused.", "runs.takes-max-run", ["runs/"];
    MaxRunOneMore: "An op of one element more than max_run is taken.", "runs.max-run", ["runs/"];
    MaxRunInBytes: "Elements are counted as bytes for max_run.", "runs.ins", ["runs/"];
    MaxRunInUtf16: "Elements are counted as UTF-16 code units for max_run.", "runs.ins", ["runs/"];
    MaxRunOfInsertsOnly: "A delete may have any count.", "runs.max-run", ["runs/"];
    MaxRunPolicy: "An op of too many elements ends in 1008.", "runs.max-run", ["runs/"];
    MaxRunCut: "An op of too many elements is cut.", "runs.max-run", ["runs/"];
    MaxRunLate: "The number of elements is checked after the ids.", "close.order", ["runs/"];
    MaxRunEarly: "The number of elements is checked before the names.", "close.order", ["runs/"];
    MaxMessageOverstated: "Larger messages are announced than are taken.", "runs.max-message", ["runs/"];
    MaxMessageUnderstated: "Larger messages are taken than are announced.", "runs.max-message", ["runs/"];
    RunRefused: "The profile is granted, and a value of two refused.", "runs.ins", ["runs/", "frames/op-"];
    RunInUtf16: "Elements are UTF-16 code units.", "runs.ins", ["runs/", "frames/op-"];
    RunInClusters: "A letter and its combining marks are one element.", "runs.ins", ["runs/", "frames/op-"];
    RunCrToLf: "CR becomes LF inside runs.", "text.verbatim", ["runs/", "text/", "frames/op-"];
    RunBeyondEndCut: "An op that reaches beyond the last lamport is cut.", "runs.schema", ["runs/", "frames/op-"];
    EmptyIgnored: "An insert of nothing is ignored.", "runs.schema", ["runs/", "frames/op-"];
    CountRefused: "The profile is granted, and a delete with a count refused.", "runs.del", ["runs/", "frames/op-"];
    CountIgnored: "The count of a delete is ignored.", "runs.del", ["runs/", "frames/op-"];
    CountZeroTaken: "A count of 0 is taken for 1.", "runs.schema", ["runs/", "frames/op-"];
    CountRounded: "A count of 1.5 is rounded.", "runs.schema", ["runs/", "frames/op-"];
    CountTextTaken: "A count may be a string of digits.", "runs.schema", ["runs/", "frames/op-"];
    CountNullTaken: "A count of null is taken for none.", "runs.schema", ["runs/", "frames/op-"];
    CountOfInsertRead: "An insert with a field `count` is refused.", "transport.unknown-fields", ["runs/", "frames/op-"];
    RunTakenWhereOff: "A value of two is taken where the profile is off.", "op.value", ["runs/", "frames/op-"];
    CountTakenWhereOff: "A count is followed where the profile is off.", "profiles.off-is-core", ["runs/", "profiles/"];
    CountCheckedWhereOff: "A count is looked at where the profile is off.", "profiles.off-is-core", ["runs/", "profiles/"];

    // The profile runs: the text.
    RunUnderOneParent: "All elements of a run are children of its parent.", "runs.text", ["runs/"];
    RunKeptTogether: "What is inserted inside a run goes behind it.", "runs.text", ["runs/"];
    RunInsideUnknown: "Only the first element of a run may be a parent.", "runs.text", ["runs/"];
    WaitingRunCut: "Of a run that waits only the first element is kept.", "runs.pending", ["runs/"];
    DeleteByPlace: "A delete takes the next characters of the text.", "runs.del", ["runs/"];
    DeleteTakesRun: "A delete of one element of a run deletes the run.", "runs.del", ["runs/"];
    DeleteWithinRun: "A delete ends where the run ends in which it begins.", "runs.del", ["runs/"];
    DeleteOfAllReplicas: "A delete of several elements goes by lamports alone.", "resync.text", ["runs/"];
    DeleteStopsAtTombstone: "A delete ends at an element that is deleted already.", "runs.del", ["runs/"];
    DeleteStopsAtMissing: "A delete ends at an element that is not there yet.", "runs.pending", ["runs/"];
    DeletePartlyLost: "A delete forgets the elements that are not there yet.", "runs.pending", ["runs/"];
    DeleteWaitsWhole: "A delete waits until all its elements are there.", "runs.pending", ["runs/"];

    // The profile runs: seqs and echoes.
    RunTakesOneSeq: "A run takes one seq.", "runs.seqs", ["runs/"];
    EchoWithFirstSeq: "The echo of a run carries its first seq.", "runs.one-echo", ["runs/"];
    DeleteTakesOneSeq: "A delete takes one seq, whatever its count.", "runs.seqs", ["runs/"];
    DeleteSeqsOfExisting: "A delete takes as many seqs as it finds elements.", "runs.seqs", ["runs/"];
    SplitForEveryone: "Runs are split for everyone.", "runs.one-echo", ["runs/"];
    RunWholeToSenderOnly: "Runs are split for everyone but the sender.", "runs.one-echo", ["runs/"];
    WholeForEveryone: "Runs are sent whole to everyone.", "runs.split", ["runs/"];
    CountEchoedAsMost: "The delete of several elements is echoed with a count beyond any.", "runs.one-echo", ["runs/"];
    CountEchoedAsOne: "The delete of one element is echoed with a count.", "runs.count-echoed", ["runs/"];
    CountNotEchoed: "A count is not echoed.", "runs.one-echo", ["runs/"];
    SplitUnderOneParent: "The single echoes all have the run's parent.", "runs.split", ["runs/"];
    SplitUnderOneId: "The single echoes all have the run's id.", "runs.split", ["runs/"];
    SplitReversed: "The single echoes go backwards.", "runs.split", ["runs/"];
    SplitRenamed: "The message ids of single echoes are numbered.", "runs.split", ["runs/"];
    SplitWithLastSeq: "The single echoes all have the last seq.", "runs.split", ["runs/"];
    SplitKeepsCount: "The single echoes of a delete have its count.", "runs.split", ["runs/"];
    ReplayOfWholeRun: "A replay from inside a run has the whole run.", "runs.replay-inside", ["runs/"];
    ReplayOfAllSingles: "Where the profile is off, a replay from inside a run has all of its elements.", "sync.replay-exact", ["runs/"];
    ReplaySkipsRest: "A replay from inside a run begins behind it.", "runs.replay-inside", ["runs/"];
    ReplayInsideResynced: "From inside a run there is a resync only.", "sync.replay-kept", ["runs/"];
    ReplayRestSplit: "The rest of a run is replayed in single echoes.", "runs.replay-inside", ["runs/"];
    ReplayRestOldParent: "The rest of a run has the run's parent.", "runs.replay-inside", ["runs/"];
    ReplayRestOldId: "The rest of a run has the run's id.", "runs.replay-inside", ["runs/"];
    ReplayRestInUtf16: "The rest of a run is found by UTF-16 code units.", "runs.replay-inside", ["runs/"];
    ReplayRestOldCount: "The rest of a delete has the whole count.", "runs.replay-inside", ["runs/"];
    ReplayMerges: "A replay joins inserts that go on with each other.", "sync.replay-exact", ["runs/"];

    // The profile runs: duplicates, states, slow clients.
    ResentRunSequenced: "A run sent again is sequenced again.", "submit.resend", ["runs/"];
    ResentRunSplit: "A run sent again is answered in single echoes.", "runs.answer", ["runs/"];
    ResentRunTail: "A run sent again is answered with its last element.", "runs.answer", ["runs/"];
    SameRunRefused: "The same run under a new message id is refused.", "submit.same-insert", ["runs/"];
    RunContentById: "The value of a run is not compared.", "runs.content", ["runs/"];
    RunContentByFirst: "Runs are compared by their first characters.", "runs.content", ["runs/"];
    RunContentByLength: "Runs are compared by their lengths.", "runs.content", ["runs/"];
    CountNotContent: "The count is not compared.", "runs.content", ["runs/"];
    FirstIdLookedAt: "Only the first id of an insert must be free.", "runs.overlap", ["runs/"];
    FirstIdKept: "Only the first id of an accepted insert counts as taken.", "runs.overlap", ["runs/"];
    WaitingRunIdsFree: "The ids of a run that waits may be inserted anew.", "runs.overlap", ["runs/"];
    DeletedRunIdsFree: "The ids of a deleted run may be inserted anew.", "runs.overlap", ["runs/"];
    LamportOfLastChecked: "Only the last lamport of a run must be above the parent's.", "crdt.lamport-above-parent", ["runs/"];
    PartMeansSame: "The beginning of an accepted run is taken for it.", "runs.overlap", ["runs/"];
    MoreMeansSame: "A run that goes on after an accepted one is taken for it.", "runs.overlap", ["runs/"];
    InsideMeansSame: "A part of an accepted run is taken for it.", "runs.overlap", ["runs/"];
    RefusedRunHalfTaken: "Of a refused run the elements before the taken id are accepted.", "runs.overlap", ["runs/"];
    RefusedRunHalfKept: "Of a refused run the elements before the taken id stay in the text.", "runs.whole", ["runs/"];
    SpansEndWithRuns: "A span ends where the run ends.", "state.canonical", ["runs/"];
    PendingDeleteWhole: "A delete that waits in part stands whole among what waits.", "state.pending", ["runs/"];
    StateRunsWhereOff: "What waits stands in runs where the profile is off.", "runs.state-pending", ["runs/", "state/"];
    SinglesCountedEach: "The single echoes of a run count each for what waits.", "slow.floor", ["runs/paste-while-paused", "slow/pause"];

    // Slow clients.
    SlowNeverClosed: "What waits for a client is kept without a limit.", "slow.ceiling", ["slow/"];
    SlowLosesEchoes: "A slow client loses echoes.", "seq.from-baseline", ["slow/"];
    SlowClosedEarly: "A client is closed as slow when 64 KiB wait for it.", "slow.floor", ["slow/"];
    SlowEndsAll: "A slow client ends every connection of its document.", "slow.alone", ["slow/"];
    SlowEndsTwins: "A slow connection ends all of its client.", "slow.alone", ["slow/twin"];
    LimitShared: "All who wait share what may wait for one.", "slow.floor", ["slow/twenty"];
    UncountedInSync: "What waits for a client in its sync does not count.", "slow.ceiling", ["slow/flood-during"];
    AnswersUncounted: "Answers to ops that were sent again do not count as what waits.", "slow.ceiling", ["slow/answers"];
    SlowHoldsUp: "A slow client holds up the others.", "slow.no-delay", ["slow/"];
    StalledCostsAll: "Beside a client that does not read, every 64th op takes 150 ms longer.", "slow.latency", ["slow/latency-one"];
    StalledCostsEach: "For each client that does not read, every 64th op takes 8 ms longer.", "slow.latency", ["slow/latency-twenty"];
    SlowClosedByCount: "After 19 clients of a document were closed as slow, none is any more.", "slow.ceiling", ["slow/latency-twenty"];
    SlowBanned: "A client that was closed as slow may not come back.", "slow.catches-up", ["slow/stalled-reader"];
    SlowTcpKept: "The TCP connection of a slow client is kept for 20 s after its close.", "slow.drops-tcp", ["slow/stalled-reader"];
    SlowTcpUntilRead: "The TCP connection of a slow client is kept until the client reads.", "slow.drops-tcp", ["slow/dropped-unread"];
    PingsHoldUp: "A client that pings is waited for as one that reads.", "slow.no-delay", ["slow/stalled-pings"];
    SendersNeverWait: "Nobody who sends is made to wait for those who read more slowly.", "slow.readers-safe", ["slow/slow-reader"];
    ReadersClosed: "A client is closed as slow once 8 MiB have been sent to it.", "slow.readers-safe", ["slow/readers-stay"];

    // The end of the server.
    EndsSilently: "Told to end, the server does, without a word to anybody.", "close.shutdown", ["close/shutdown"];
    BehindCutAtEnd: "Told to end, the server leaves those who are behind without a close frame.", "close.shutdown", ["close/shutdown"];
    EndsNormally: "Told to end, the server closes with 1000.", "close.shutdown", ["close/shutdown"];
}

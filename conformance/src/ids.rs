//! The requirements that the suite's own checks cite. A test sees to it that each exists.
//!
//! Deliberately absent: what they say. That stands in the prose alone.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $id:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $id;)*

        /// Every requirement cited here.
        pub const ALL: &[&str] = &[$($id),*];
    };
}

ids! {
    /// `/health` answers.
    HEALTH = "http.health";
    /// The server speaks RFC 6455.
    UPGRADE = "transport.upgrade";
    /// A connection serves one document.
    ONE_DOCUMENT = "transport.one-document";
    /// Messages are text, one object each.
    TEXT_MESSAGES = "transport.text-messages";
    /// Every writing of a JSON text is the same message.
    ANY_JSON = "transport.any-json";
    /// Fields that nobody knows are ignored.
    UNKNOWN_FIELDS = "transport.unknown-fields";
    /// Names are 1 to 256 characters of any kind.
    NAMES = "transport.names";
    /// A ping is answered.
    PING = "transport.ping";
    /// Messages fit their schema.
    SERVER_VALID = "transport.server-valid";
    /// A message may be nested.
    NESTING = "transport.nesting";
    /// A message may come in several frames.
    FRAGMENTS = "transport.fragments";
    /// Integers are written as digits.
    PLAIN_INTEGERS = "transport.plain-integers";
    /// Integers have bounds.
    INTEGERS = "transport.integers";
    /// An insert has one character.
    OP_VALUE = "op.value";
    /// Characters stay what they are.
    TEXT_VERBATIM = "text.verbatim";
    /// The ack names the document and its head.
    ACK_FIELDS = "ack.fields";
    /// The text of a resync is that of its ops.
    RESYNC_TEXT = "resync.text";
    /// A resync carries its fields.
    RESYNC_FIELDS = "resync.fields";
    /// A resync is not below its ack.
    RESYNC_HEAD = "resync.head";
    /// An echo carries the defined fields alone.
    ECHO_EXACT_FIELDS = "echo.exact-fields";
    /// An echo says who submitted the op, and under which `client_msg_id`.
    ECHO_FIELDS = "echo.fields";
    /// An echo's op is the submitted one.
    ECHO_FAITHFUL = "echo.faithful";
    /// The ack comes first, once.
    ACK_FIRST = "session.ack-first";
    /// Connections with one `client_id` are served beside each other.
    SAME_CLIENT_ID = "session.same-client-id";
    /// A connection that ends changes nothing for the others.
    VANISHED = "session.vanished";
    /// A document begins empty.
    NEW_DOCUMENT = "session.new-document";
    /// No live echo before the sync is complete.
    SYNC_BEFORE_LIVE = "session.sync-before-live";
    /// Seqs are dense, from 1.
    SEQ_DENSE = "seq.dense";
    /// A seq is one op, for all.
    SEQ_ONE_ORDER = "seq.one-order";
    /// On a connection, seqs go on from the baseline.
    SEQ_FROM_BASELINE = "seq.from-baseline";
    /// Every connection gets every echo.
    SEQ_FAN_OUT = "seq.fan-out";
    /// A sender's ops keep their order.
    SEQ_SENDER_ORDER = "seq.sender-order";
    /// L = 0.
    SYNC_ZERO = "sync.zero";
    /// A replay is exactly the missed echoes.
    SYNC_REPLAY_EXACT = "sync.replay-exact";
    /// Up to 1,000 missed ops are replayed.
    SYNC_REPLAY_KEPT = "sync.replay-kept";
    /// One sync, whole.
    SYNC_REPLAY_OR_RESYNC = "sync.replay-or-resync";
    /// L = H.
    SYNC_AT_HEAD = "sync.at-head";
    /// L > H.
    SYNC_BEYOND_HEAD = "sync.beyond-head";
    /// A sync is for who has asked for it.
    SYNC_NEWCOMER_ALONE = "sync.newcomer-alone";
    /// What comes during a sync comes after it.
    SYNC_LIVE_DURING = "sync.live-during";
    /// No L is a reason to close.
    SYNC_NEVER_CLOSES = "sync.never-closes";
    /// An op has one seq.
    SUBMIT_RESEND = "submit.resend";
    /// An op sent again has one answer.
    SUBMIT_ANSWER = "submit.answer";
    /// The answer goes to the sender alone.
    SUBMIT_ANSWER_PRIVATE = "submit.answer-private";
    /// The answer does not overtake the echo.
    SUBMIT_ANSWER_ORDER = "submit.answer-order";
    /// The same insert is the same op.
    SUBMIT_SAME_INSERT = "submit.same-insert";
    /// A `client_msg_id` names one op.
    SUBMIT_MSG_ID_REUSED = "submit.msg-id-reused";
    /// An element id names one insert.
    SUBMIT_ID_TAKEN = "submit.id-taken";
    /// A second delete is a new op.
    SUBMIT_DEL_AGAIN = "submit.del-again";
    /// Siblings stand newest first.
    CRDT_SIBLING_ORDER = "crdt.sibling-order";
    /// Lamports are numbers.
    CRDT_LAMPORT_ORDER = "crdt.lamport-order";
    /// Equal lamports go by their replicas.
    CRDT_REPLICA_ORDER = "crdt.replica-order";
    /// What is deleted stays so.
    CRDT_TOMBSTONE = "crdt.tombstone";
    /// What is under a tombstone stays.
    CRDT_TOMBSTONE_CHILDREN = "crdt.tombstone-children";
    /// Anybody may delete anything.
    CRDT_DELETE_ANY = "crdt.delete-any";
    /// The same ops make the same text.
    CRDT_ORDER_FREE = "crdt.order-free";
    /// An early op takes effect with what it depends on.
    CRDT_PENDING_APPLIES = "crdt.pending-applies";
    /// An early op is taken.
    CRDT_PENDING_ACCEPTED = "crdt.pending-accepted";
    /// An insert's replica is its sender.
    CRDT_OWN_REPLICA = "crdt.own-replica";
    /// An insert's lamport is above its parent's.
    CRDT_LAMPORT_ABOVE_PARENT = "crdt.lamport-above-parent";
    /// An op's document is the connection's.
    CLOSE_OTHER_DOC = "close.other-doc";
    /// An op's client is the connection's.
    CLOSE_OTHER_CLIENT = "close.other-client";
    /// What is no JSON is refused.
    CLOSE_NOT_JSON = "close.not-json";
    /// What is of no known type is refused.
    CLOSE_UNKNOWN_TYPE = "close.unknown-type";
    /// What does not fit its schema is refused.
    CLOSE_SCHEMA = "close.schema";
    /// What is refused has no effect.
    CLOSE_NO_EFFECT = "close.no-effect";
    /// Of several breaches the first of the table decides.
    CLOSE_ORDER = "close.order";
    /// A violation is nobody else's matter.
    CLOSE_ISOLATED = "close.isolated";
    /// How reasons are worded.
    CLOSE_REASON = "close.reason";
    /// Nobody is closed without a reason.
    CLOSE_ONLY_THEN = "close.only-then";
    /// No other codes than the table's.
    CLOSE_TABLE_ONLY = "close.table-only";
    /// No failure of the server's own.
    CLOSE_NO_1011 = "close.no-1011";
    /// Less than 1 MiB is no reason for 1013.
    SLOW_FLOOR = "slow.floor";
    /// Who was closed as slow may come back.
    SLOW_CATCHES_UP = "slow.catches-up";
    /// Who reads is not closed as slow.
    SLOW_READERS_SAFE = "slow.readers-safe";
    /// The ack says what is on.
    PROFILES_ACK = "profiles.ack";
    /// The ack says so to who has asked.
    PROFILES_ACK_UNASKED = "profiles.ack-unasked";
    /// What is off is not there.
    PROFILES_OFF = "profiles.off-is-core";
    /// With `resume` the ack says epoch and sync.
    RESUME_ACK = "resume.ack";
    /// One history, one epoch.
    RESUME_ONE_EPOCH = "resume.one-epoch";
    /// A lost history's epoch is not named again.
    RESUME_NEW_HISTORY = "resume.new-history";
    /// L = 0, with `resume`.
    RESUME_ZERO = "resume.zero";
    /// A hello without an epoch.
    RESUME_NO_EPOCH = "resume.no-epoch";
    /// A hello of another epoch.
    RESUME_OTHER_EPOCH = "resume.other-epoch";
    /// L = H, with `resume`.
    RESUME_AT_HEAD = "resume.at-head";
    /// 0 < L < H, with `resume`.
    RESUME_REPLAY = "resume.replay";
    /// L > H, with `resume`.
    RESUME_BEYOND_HEAD = "resume.beyond-head";
    /// An op may carry its epoch.
    RESUME_OP_EPOCH = "resume.op-epoch";
    /// An op of another epoch is refused.
    RESUME_OTHER_OP_EPOCH = "resume.other-op-epoch";
    /// An op with a malformed epoch is refused.
    RESUME_OP_EPOCH_INVALID = "resume.op-epoch-invalid";
    /// An op's epoch is not echoed.
    RESUME_EPOCH_NOT_CONTENT = "resume.epoch-not-content";
    /// With `state` a resync carries it.
    STATE_IN_RESYNC = "state.in-resync";
    /// No state is too long.
    STATE_WHOLE = "state.whole";
    /// All elements in order.
    STATE_ELEMENTS = "state.elements";
    /// Spans that could be one are one.
    STATE_CANONICAL = "state.canonical";
    /// The spans' texts are the text.
    STATE_TEXT = "state.text";
    /// The ops that wait.
    STATE_PENDING = "state.pending";
    /// With `runs` the ack says the limits.
    RUNS_LIMITS = "runs.limits";
    /// What no run is is refused.
    RUNS_SCHEMA = "runs.schema";
    /// An op over `max_run` is refused.
    RUNS_MAX_RUN = "runs.max-run";
    /// An insert of several characters.
    RUNS_INS = "runs.ins";
    /// A delete of several elements.
    RUNS_DEL = "runs.del";
    /// Run boundaries do not show.
    RUNS_TEXT = "runs.text";
    /// An op has a seq an element, one after the other.
    RUNS_SEQS = "runs.seqs";
    /// With `runs` an op is one echo.
    RUNS_ONE_ECHO = "runs.one-echo";
    /// A count is echoed where it is above 1.
    RUNS_COUNT_ECHOED = "runs.count-echoed";
    /// Without `runs` an op is an echo an element.
    RUNS_SPLIT = "runs.split";
    /// A replay may begin inside an op.
    RUNS_REPLAY_INSIDE = "runs.replay-inside";
    /// The answer to a run is one echo.
    RUNS_ANSWER = "runs.answer";
    /// Values and counts are content.
    RUNS_CONTENT = "runs.content";
    /// Ids that are taken in part.
    RUNS_OVERLAP = "runs.overlap";
    /// How pending ops may be cut.
    RUNS_STATE_PENDING = "runs.state-pending";
    /// Presence goes to the others with the profile.
    PRESENCE_PASSED_ON = "presence.passed-on";
    /// Presence is passed on as it is.
    PRESENCE_OPAQUE = "presence.opaque";
    /// A state may have 4,096 bytes.
    PRESENCE_TAKES_4K = "presence.takes-4k";
    /// Presence carries its fields alone.
    PRESENCE_EXACT_FIELDS = "presence.exact-fields";
    /// One snapshot after the sync.
    PRESENCE_SNAPSHOT = "presence.snapshot";
    /// The newest state wins.
    PRESENCE_NEWEST = "presence.newest";
    /// Who leaves shows nothing.
    PRESENCE_LEAVING = "presence.leaving";
    /// Presence is no reason for 1013.
    PRESENCE_NEVER_SLOW = "presence.never-slow";
    /// The closing handshake is completed.
    CLOSE_CLIENT_CLOSE = "close.client-close";
    /// A server that shuts down says so.
    CLOSE_SHUTDOWN = "close.shutdown";
}

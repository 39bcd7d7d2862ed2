//! Every bound of the protocol, in one place. A peer that oversteps one loses its link.

/// The version of the protocol between two nodes.
pub const PROTOCOL_VERSION: u16 = 4;

/// The longest record: one change with the name of its document, in octets.
pub const LONGEST_RECORD: usize = crdt::document::LONGEST_CHANGE + 1024;
/// The longest frame in octets. It must hold the longest record; what we send is far shorter as a rule.
pub const LONGEST_FRAME: usize = LONGEST_RECORD + 64 * 1024;
/// The size at which a delta is closed and sent, in octets; a single longer record travels alone.
pub const DELTA_BATCH_BYTES: usize = 256 * 1024;
/// How many octets of deltas a peer may owe an acknowledgement for before it is sent nothing more.
pub const DELTA_WINDOW_BYTES: usize = 1024 * 1024;
/// How many octets of deltas of one peer may wait to be applied here: a window and one longest frame.
pub const MOST_APPLYING_BYTES: usize = DELTA_WINDOW_BYTES + LONGEST_FRAME;
/// The most records of one delta.
pub const MOST_RECORDS: usize = 65_536;
/// The most incarnations in a vector.
pub const MOST_INCARNATIONS: usize = 1 << 16;
/// The greatest sequence of a record: so that sums over a vector stay below 2^63.
pub const GREATEST_SEQUENCE: u64 = 1 << 47;

/// About how many octets of notices travel in one frame; a single longer notice goes on top.
pub const NOTICE_BATCH_BYTES: usize = 64 * 1024;
/// How many octets of notices a peer may owe an acknowledgement for before it is sent nothing more.
pub const NOTICE_WINDOW_BYTES: usize = 256 * 1024;
/// The most octets of notices of one frame: what was said, one that goes on top, and the beginning of another node's.
pub const MOST_NOTICE_BYTES: usize = NOTICE_BATCH_BYTES + crdt::notice::LONGEST_NOTICE + 64;
/// How many octets of notices of one peer may wait to be kept here: a window and one longest frame.
pub const MOST_KEEPING_BYTES: usize = NOTICE_WINDOW_BYTES + MOST_NOTICE_BYTES;
/// The most notices of one frame.
pub const MOST_NOTICES: usize = 4096;
/// For how many milliseconds new notices wait for others that can share their frame.
pub const NOTICE_DELAY: u64 = 10;

/// The most mailboxes looked at that a node tells; those beyond are not told, which costs placements, not correctness.
pub const MOST_LOOKS: usize = 100_000;
/// The most mailboxes named by one frame of looks.
pub const MOST_LOOKS_A_FRAME: usize = 4096;

/// The length of every piece of a body but the last, in octets. A body of one piece is small.
pub const BODY_PIECE_BYTES: u64 = 64 * 1024;
/// How many wanted bodies are kept in mind; the store is asked for the next ones later.
pub const MOST_WANTED: usize = 1024;
/// The most octets of bodies asked of one peer and not here yet.
pub const BODY_WINDOW_BYTES: u64 = 2 * 1024 * 1024;
/// The most octets of bodies handed to the store and not written yet.
pub const MOST_UNWRITTEN_BYTES: u64 = 4 * 1024 * 1024;
/// The most pieces asked of one peer at a time.
pub const MOST_BODY_REQUESTS: usize = 128;
/// The most pieces that a peer may ask of us at a time.
pub const MOST_BODIES_SERVED: usize = 2 * MOST_BODY_REQUESTS;
/// The most large bodies fetched at a time.
pub const MOST_LARGE_BODIES: usize = 4;
/// How many pieces of one large body are asked for ahead.
pub const LARGE_BODY_PIPELINE: u64 = 16;
/// The most large bodies of which a part is kept while their source is away.
pub const MOST_PARTIAL_BODIES: usize = 8;
/// How many absent bodies we remember for a peer, to tell it when they arrive.
pub const MOST_ASKED_FOR: usize = 1024;

/// The longest text in a reason, in octets: it travels in the packet that closes a connection.
pub const LONGEST_REASON: usize = 400;

/// Milliseconds between two pings.
pub const PING_INTERVAL: u64 = 500;
/// After this many milliseconds without a frame a link is cut.
pub const SILENCE_LIMIT: u64 = 2_500;
/// A link that was heard from within this many milliseconds is not taken for dead when a second one appears.
pub const FRESH_LIMIT: u64 = 1_200;
/// Milliseconds between two attempts to dial; a random part of up to a quarter is added or taken.
pub const REDIAL_INTERVAL: u64 = 500;
/// How many milliseconds the node with the higher slot lets the other dial first.
pub const COURTESY_DELAY: u64 = 150;
/// An attempt to dial is given up after this many milliseconds; the shell keeps this time.
pub const DIAL_LIMIT: u64 = 1_000;
/// The first back-off after a peer broke the protocol, in milliseconds; it doubles.
pub const FIRST_BACK_OFF: u64 = 1_000;
/// The greatest back-off, in milliseconds.
pub const GREATEST_BACK_OFF: u64 = 30_000;
/// A link that lasted this many milliseconds clears the back-off of its peer.
pub const TRUST_AFTER: u64 = 60_000;
/// How long a record of a third node is not forwarded to a peer that has a link of its own to that node.
pub const FORWARD_DELAY: u64 = 1_000;
/// A body of which nothing came for this many milliseconds is asked of another peer.
pub const BODY_STALL_LIMIT: u64 = 10_000;
/// The first wait before a body that nobody had is asked for again, in milliseconds; it doubles.
pub const FIRST_BODY_RETRY: u64 = 200;
/// The greatest such wait, in milliseconds.
pub const GREATEST_BODY_RETRY: u64 = 5_000;

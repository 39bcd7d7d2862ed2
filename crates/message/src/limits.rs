//! Every bound on what one message may make this crate hold, so that no message, whatever its size,
//! costs more than about one MiB while it is scanned.

/// Octets kept of one header field, folds included; a longer field is ranged but not kept.
pub const FIELD_OCTETS_MAX: usize = 64 * 1024;

/// Octets kept of the envelope fields that hold no addresses, of the message and the messages nested in it together.
pub const ENVELOPE_OCTETS_MAX: usize = 128 * 1024;

/// What the addresses of all envelopes may cost: some 2,000 of usual length. A longer list is cut.
pub const ADDRESSES_COST_MAX: usize = 384 * 1024;

/// Octets kept of all `Content-*` fields of all parts.
pub const CONTENT_OCTETS_MAX: usize = 128 * 1024;

/// What an address costs of [`ADDRESSES_COST_MAX`] beside its octets: about the memory of its record.
pub const ADDRESS_COST: usize = 160;

/// What a parameter or language costs of [`CONTENT_OCTETS_MAX`] beside its octets.
pub const PARAMETER_COST: usize = 48;

/// Parameters kept of one `Content-Type` or `Content-Disposition` field.
pub const PARAMETERS_MAX: usize = 64;

/// Octets of a media type, a subtype or a transfer encoding; a longer one is taken for malformed.
pub const TOKEN_OCTETS_MAX: usize = 127;

/// Octets of a boundary. RFC 2046 5.1.1 allows 70; some producers exceed it.
pub const BOUNDARY_OCTETS_MAX: usize = 256;

/// Levels of multiparts and nested messages; what lies deeper is one `application/octet-stream` leaf.
pub const DEPTH_MAX: usize = 64;

/// Parts of one message, nested messages included; what follows belongs to the epilogue.
pub const PARTS_MAX: usize = 1_000;

/// Octets asked of the reader at once while searching.
pub const READ_OCTETS: u64 = 64 * 1024;

/// Octets of one header field that are searched as one piece; a longer field is searched in pieces.
pub const SEARCH_FIELD_OCTETS_MAX: usize = 1024 * 1024;

/// Octets of text that are folded at once while searching; what stands for them may be eleven times as long.
pub const SEARCH_FOLD_OCTETS: usize = 16 * 1024;

/// Octets of the first text of a message that are read for its preview: what the store verifies at once, so that fewer would
/// cost as much.
pub const PREVIEW_OCTETS_MAX: u64 = 64 * 1024;

/// White space held back by the quoted-printable decoder until it is known not to end a line.
pub const TRAILING_SPACE_MAX: usize = 1024;

/// Octets of what stands for a text where texts are compared; of longer texts the rest is compared by its hash.
pub const COLLATION_OCTETS_MAX: usize = 1024;

/// Octets of a message identifier; a line of RFC 5322 has no more.
pub const MESSAGE_ID_OCTETS_MAX: usize = 998;

/// Message identifiers taken of one `References` field, the last ones.
pub const REFERENCES_MAX: usize = 200;

//! How a node becomes a member: the token that an invitation prints, and what the two nodes say to each other.
//!
//! The joiner knows the inviter by the fingerprint in the token; the inviter knows the joiner by the secret in it. Both
//! prove their keys in the handshake.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crdt::identity::NodeSlot;
use crdt::operation::Member;
use crdt::record::Record;
use crdt::vector::Vector;
use serde::{Deserialize, Serialize};

use crate::frame::{ClusterId, FrameError, check_records, check_vector, decode_unprefixed, encode_prefixed};
use crate::limits::LONGEST_FRAME;

const TOKEN_VERSION: u8 = 1;
const CHECKSUM: usize = 4;
/// The longest token, in characters.
const LONGEST_TOKEN: usize = 2048;
/// The longest name or address in a request to join, in octets.
const LONGEST_JOIN_TEXT: usize = 255;

/// What admits one node to a cluster. Shown as one line of URL-safe base64 (RFC 4648 section 5).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The cluster.
    pub cluster: ClusterId,
    /// Where the inviter is dialled.
    pub address: String,
    /// The fingerprint of the inviter's key.
    pub key: [u8; 32],
    /// Known to the inviter and to whoever has the token. Valid once.
    pub secret: [u8; 16],
    /// The slot that the new node gets.
    pub slot: NodeSlot,
    /// The slots that it may grant to others, one bit each.
    pub reserve: u128,
}

/// Why a text is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It holds other characters than base64.
    #[error(
        "the token holds characters that no token has; copy the whole line that `peerpost cluster invite` printed"
    )]
    NotBase64,
    /// The checksum is wrong.
    #[error(
        "the token is incomplete or was changed on its way; copy the whole line that `peerpost cluster invite` printed"
    )]
    Mangled,
    /// From another version of Peerpost.
    #[error(
        "the token is of version {0}, this node knows version {TOKEN_VERSION}; use the same version of Peerpost on both nodes"
    )]
    OtherVersion(u8),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut octets = postcard::to_extend(self, vec![TOKEN_VERSION]).map_err(|_| fmt::Error)?;
        let checksum = checksum(&octets);
        octets.extend(checksum);
        f.write_str(&URL_SAFE_NO_PAD.encode(octets))
    }
}

/// Without the secret, so that no log shows it.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("address", &self.address)
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > LONGEST_TOKEN {
            return Err(TokenError::Mangled);
        }
        let octets = URL_SAFE_NO_PAD.decode(text).map_err(|error| match error {
            base64::DecodeError::InvalidByte(..) => TokenError::NotBase64,
            _ => TokenError::Mangled,
        })?;
        let (signed, sum) = octets.split_last_chunk::<CHECKSUM>().ok_or(TokenError::Mangled)?;
        if checksum(signed) != *sum {
            return Err(TokenError::Mangled);
        }
        let (version, payload) = signed.split_first().ok_or(TokenError::Mangled)?;
        if *version != TOKEN_VERSION {
            return Err(TokenError::OtherVersion(*version));
        }
        match postcard::take_from_bytes(payload) {
            Ok((token, [])) => Ok(token),
            _ => Err(TokenError::Mangled),
        }
    }
}

fn checksum(octets: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    blake3::Hasher::new_derive_key("peerpost invitation checksum")
        .update(octets)
        .finalize_xof()
        .fill(&mut sum);
    sum
}

/// A node asks to be admitted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// From the token.
    pub secret: [u8; 16],
    /// The name of the node.
    pub name: String,
    /// The fingerprint of its key; the handshake proved that it has the key.
    pub key: [u8; 32],
    /// Where the others shall dial it.
    pub advertise: String,
}

/// Without the secret.
impl fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinRequest")
            .field("name", &self.name)
            .field("advertise", &self.advertise)
            .finish_non_exhaustive()
    }
}

/// The node is a member now, durably.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admitted {
    /// The cluster.
    pub cluster: ClusterId,
    /// The slot of the new node.
    pub slot: NodeSlot,
    /// The slots that it may grant to others, one bit each.
    pub reserve: u128,
    /// All members, the new one among them.
    pub members: Vec<Member>,
    /// What the inviter has; the joiner fetches all of it before it serves.
    pub vector: Vector,
}

/// Decides who becomes a member.
pub trait Admission: Send + Sync + 'static {
    /// Whether an invitation waits to be used. While none does, unknown keys do not get through the handshake. Does not
    /// block.
    fn is_open(&self) -> bool;

    /// Checks the secret and makes the node a member, durably. Asked again with the same secret and key (the answer was
    /// lost), it answers as before. The error is shown to the joiner. May block.
    fn admit(&self, request: &JoinRequest) -> Result<Admitted, String>;
}

/// One message of the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum JoinFrame {
    Request(JoinRequest),
    Accepted(Admitted),
    Refused {
        reason: String,
    },
    /// The joiner has this; asks for more.
    DeltaRequest {
        vector: Vector,
    },
    /// More; empty if there is no more.
    Delta {
        records: Vec<Record>,
    },
}

impl JoinFrame {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, FrameError> {
        encode_prefixed(self, LONGEST_FRAME)
    }

    pub(crate) fn decode(octets: &[u8]) -> Result<JoinFrame, FrameError> {
        let frame: JoinFrame = decode_unprefixed(octets)?;
        match &frame {
            JoinFrame::Request(request)
                if request.name.len() > LONGEST_JOIN_TEXT || request.advertise.len() > LONGEST_JOIN_TEXT =>
            {
                Err(FrameError::OverLimit("a name or an address that is too long"))
            }
            JoinFrame::Accepted(admitted) => check_vector(&admitted.vector),
            JoinFrame::DeltaRequest { vector } => check_vector(vector),
            JoinFrame::Delta { records } if !records.is_empty() => check_records(records),
            _ => Ok(()),
        }?;
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> Token {
        Token {
            cluster: ClusterId([1; 16]),
            address: "mx1.example.com:7471".into(),
            key: [2; 32],
            secret: [3; 16],
            slot: NodeSlot::new(64).expect("a slot"),
            reserve: u128::MAX << 65,
        }
    }

    #[test]
    fn a_token_comes_back() {
        let line = token().to_string();
        assert!(line.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        assert_eq!(format!(" {line}\n").parse(), Ok(token()));
        assert!(!format!("{:?}", token()).contains("3, 3"), "the secret stays out of logs");
    }

    #[test]
    fn mangled_tokens_say_so() {
        let line = token().to_string();
        assert_eq!(line[..line.len() - 3].parse::<Token>(), Err(TokenError::Mangled));
        assert_eq!(line.replacen('A', "B", 1).parse::<Token>(), Err(TokenError::Mangled));
        assert_eq!("peerpost cluster join".parse::<Token>(), Err(TokenError::NotBase64));
        assert_eq!("".parse::<Token>(), Err(TokenError::Mangled));
        let mut octets = URL_SAFE_NO_PAD.decode(&line).expect("base64");
        octets.truncate(octets.len() - CHECKSUM);
        octets[0] = 9;
        let sum = checksum(&octets);
        octets.extend(sum);
        assert_eq!(URL_SAFE_NO_PAD.encode(octets).parse::<Token>(), Err(TokenError::OtherVersion(9)));
    }

    proptest! {
        #[test]
        fn no_token_and_no_frame_panics(text in ".{0,200}", octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = text.parse::<Token>();
            let _ = JoinFrame::decode(&octets);
            let mut framed = vec![1];
            framed.extend(octets);
            let _ = JoinFrame::decode(&framed);
        }
    }
}

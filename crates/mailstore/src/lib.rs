//! Peerpost: mailstore.

//! Peerpost: simulation.

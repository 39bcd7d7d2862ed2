//! Bodies: those wanted here are fetched, those asked for are served.

use crdt::clock::Millis;
use crdt::identity::BodyHash;
use tracing::{error, warn};

use super::Replicator;
use crate::event::{BodyFailure, LinkId, Now, Output, Piece, Reason};
use crate::frame::Frame;
use crate::limits::{BODY_PIECE_BYTES, MOST_ASKED_FOR, MOST_BODIES_SERVED, MOST_WANTED};

impl Replicator {
    /// Asks the store for what it lacks, and the peers for that.
    pub(super) fn pump_bodies(&mut self, now: Millis) {
        let used_up = self.wanted.more && self.fetches.wanted() <= MOST_WANTED / 2;
        let connected = self.links.values().any(crate::link::Link::is_established);
        if connected && !self.wanted.asked && (self.wanted.ask_again || used_up) {
            self.wanted.asked = true;
            self.wanted.ask_again = false;
            self.outputs.push_back(Output::ReadWanted { limit: MOST_WANTED });
        }
        self.fetches.poll(now, &mut self.outputs);
    }

    pub(super) fn handle_wanted_read(&mut self, list: Result<Vec<(BodyHash, u64)>, String>) {
        self.wanted.asked = false;
        match list {
            Ok(list) => {
                self.wanted.more = list.len() >= MOST_WANTED;
                self.fetches.want(list, self.latest_author, &mut self.outputs);
            }
            Err(why) => {
                error!(%why, "the store could not say which bodies it lacks");
                self.wanted.more = false;
            }
        }
    }

    pub(super) fn handle_body_request(&mut self, now: Now, id: LinkId, hash: BodyHash, offset: u64) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.serving >= MOST_BODIES_SERVED {
            return self.fail(now, id, Reason::Protocol("too many requests for bodies at a time".into()));
        }
        link.serving += 1;
        self.outputs.push_back(Output::ReadBody { link: id, hash, offset, length: BODY_PIECE_BYTES });
    }

    pub(super) fn handle_body_read(
        &mut self,
        id: LinkId,
        hash: BodyHash,
        offset: u64,
        piece: Result<Option<Piece>, String>,
    ) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.serving = link.serving.saturating_sub(1);
        let piece = piece.unwrap_or_else(|why| {
            error!(%hash, %why, "a body could not be read for a peer");
            None
        });
        let frame = match piece {
            Some(Piece { total, bytes }) => Frame::BodyPiece { hash, offset, total, bytes },
            None => {
                if link.asked_for.len() < MOST_ASKED_FOR {
                    link.asked_for.insert(hash);
                }
                Frame::BodyAbsent { hash }
            }
        };
        self.outputs.push_back(Output::Send { link: id, frame });
    }

    pub(super) fn handle_body_stored(&mut self, now: Now, hash: BodyHash, result: &Result<(), BodyFailure>) {
        let blamed = self.fetches.stored(hash, result, now.steady, &mut self.outputs);
        match result {
            Ok(()) => {
                for (id, link) in &mut self.links {
                    if link.asked_for.remove(&hash) {
                        self.outputs
                            .push_back(Output::Send { link: *id, frame: Frame::BodyPresent { hash } });
                    }
                }
            }
            Err(why) => warn!(%hash, %why, "a fetched body was not stored; it is fetched again"),
        }
        if let Some(link) = blamed {
            self.fail(now, link, Reason::WrongBody(hash.to_string()));
        }
    }
}

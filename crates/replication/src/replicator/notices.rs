//! Notices: what nodes tell of themselves is passed on within a window, kept, and acknowledged with what was heard.

use crdt::clock::Millis;
use crdt::left_out::{LeftOut, leaves_out};
use crdt::notice::{Heard, Telling};
use tracing::error;

use super::Replicator;
use super::connection::bit;
use crate::event::{LinkId, Now, Output, Reason};
use crate::frame::{Frame, check_tellings, telling_bytes};
use crate::limits::MOST_KEEPING_BYTES;

impl Replicator {
    pub(super) fn handle_heard(&mut self, heard: &Heard) {
        self.heard.join(heard);
    }

    /// Reads what a peer has not heard, if it is time and its window allows.
    pub(super) fn pump_notices(&mut self, now: Millis, id: LinkId) {
        let here = self.identity.slot;
        let Some(link) = self.links.get_mut(&id).filter(|link| link.is_established()) else { return };
        // What nodes tell that the peer has a link to, they tell it themselves.
        let reachable = link.reachable;
        let is_left =
            |slot| slot != here && (reachable & bit(slot) != 0 || leaves_out(LeftOut::NoticesAreForwarded));
        if let Some((after, limit)) = link.exchange.due(now, &self.heard, is_left) {
            self.outputs.push_back(Output::ReadNotices { link: id, after, limit });
        }
    }

    pub(super) fn handle_notices_read(&mut self, id: LinkId, tellings: Result<Vec<Telling>, String>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let tellings = tellings.map(|tellings| link.exchange.read(tellings)).unwrap_or_else(|why| {
            error!(slot = %link.slot, %why, "what nodes tell of themselves could not be read for a peer");
            link.exchange.read(Vec::new())
        });
        if tellings.is_empty() {
            link.exchange.stalled = true;
            return;
        }
        if let Err(why) = check_tellings(&tellings) {
            error!(slot = %link.slot, %why, "the store holds notices that cannot be sent");
            link.exchange.stalled = true;
            return;
        }
        link.exchange.sent(&tellings);
        self.outputs.push_back(Output::Send { link: id, frame: Frame::Notices { tellings } });
    }

    pub(super) fn handle_notices(&mut self, now: Now, id: LinkId, tellings: Vec<Telling>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let bytes: usize = tellings.iter().map(telling_bytes).sum();
        if link.exchange.keeping_bytes.saturating_add(bytes) > MOST_KEEPING_BYTES {
            return self.fail(now, id, Reason::Protocol("more notices than the window allows".into()));
        }
        if !link.exchange.came(&tellings) {
            return self.fail(now, id, Reason::Protocol("notices that came before".into()));
        }
        self.outputs.push_back(Output::Keep { link: id, tellings });
    }

    pub(super) fn handle_kept(&mut self, now: Now, id: LinkId, result: Result<Heard, String>) {
        if let Some(link) = self.links.get_mut(&id) {
            link.exchange.kept();
        }
        match result {
            Ok(heard) => self.heard.join(&heard),
            Err(why) => return self.fail(now, id, Reason::NoticesRefused(why)),
        }
        if let Some(link) = self.links.get_mut(&id) {
            let news = link.exchange.news(&self.heard);
            if !news.is_empty() {
                self.outputs.push_back(Output::Send { link: id, frame: Frame::Heard(news) });
            }
        }
    }
}

//! ENABLE (RFC 5161, RFC 9051 section 6.3.1), and what holds for the rest of the login because of it.

use super::answer::Answer;
use super::{Action, Session};
use crate::command::{Search, SearchReturn, Tag};
use crate::mailbox_name::NameEncoding;

/// What can be enabled, as ENABLED names it.
const CAN_BE_ENABLED: [&str; 6] = ["CONDSTORE", "QRESYNC", "UIDONLY", "UTF8=ACCEPT", "IMAP4rev2", "METADATA"];

/// What was enabled beside CONDSTORE, QRESYNC and UIDONLY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Enabled {
    /// UTF8=ACCEPT (RFC 6855).
    pub(super) utf8: bool,
    /// IMAP4rev2 (RFC 9051); a client that never enables it gets IMAP4rev1 (RFC 9051 appendix A).
    pub(super) rev2: bool,
}

impl Session {
    /// ENABLED names what this command enabled, not what was enabled before.
    pub(super) fn enable(&mut self, tag: &Tag, capabilities: &[String], out: &mut Vec<u8>) -> Action {
        let asked = |name: &&str| capabilities.iter().any(|wish| wish.eq_ignore_ascii_case(name));
        let new = |name: &&str| asked(name) && !self.has_enabled(name);
        let names: Vec<&str> = CAN_BE_ENABLED.into_iter().filter(new).collect();
        out.extend_from_slice(b"* ENABLED");
        for name in &names {
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        for name in names {
            self.enable_one(name, out);
        }
        self.done(tag, "Completed", out)
    }

    fn has_enabled(&self, name: &str) -> bool {
        match name {
            "CONDSTORE" => self.condstore,
            "QRESYNC" => self.qresync,
            "UIDONLY" => self.uid_only,
            "UTF8=ACCEPT" => self.enabled.utf8,
            "IMAP4rev2" => self.enabled.rev2,
            "METADATA" => self.annotated.is_some(),
            _ => false,
        }
    }

    fn enable_one(&mut self, name: &str, out: &mut Vec<u8>) {
        match name {
            "CONDSTORE" => self.enable_condstore(out),
            "QRESYNC" => {
                self.qresync = true;
                self.enable_condstore(out);
            }
            "UIDONLY" => {
                self.uid_only = true;
                if let Some(selected) = &mut self.selected {
                    selected.uid_only = true;
                }
            }
            "UTF8=ACCEPT" => self.enabled.utf8 = true,
            "IMAP4rev2" => {
                self.enabled.rev2 = true;
                if let Some(selected) = &mut self.selected {
                    selected.tell_uids();
                }
            }
            "METADATA" => self.enable_metadata(),
            _ => {}
        }
    }

    /// The next login inherits nothing of it (RFC 8437 section 2).
    pub(super) fn forget_enabled(&mut self) {
        (self.condstore, self.qresync, self.uid_only) = (false, false, false);
        self.enabled = Enabled::default();
        self.annotated = None;
        self.notices = None;
    }

    /// Whether the client reads and writes UTF-8 in mailbox names and message headers.
    pub(super) fn speaks_utf8(&self) -> bool {
        self.enabled.utf8 || self.enabled.rev2
    }

    /// How mailbox names are spelled from the next command on, in both directions.
    pub fn name_encoding(&self) -> NameEncoding {
        if self.speaks_utf8() { NameEncoding::Utf8 } else { NameEncoding::ModifiedUtf7 }
    }

    /// With IMAP4rev2 there is no other answer than ESEARCH, with ALL where nothing was asked for (RFC 9051 section 6.4.4).
    pub(super) fn default_return(&self, search: &mut Search) {
        if self.enabled.rev2 && search.returned.is_none() {
            search.returned = Some(SearchReturn { all: true, ..SearchReturn::default() });
        }
    }

    /// The BAD for a SEARCH that names a charset although everything is UTF-8 (RFC 6855 section 3).
    pub(super) fn charset_refusal(&self) -> Option<Answer> {
        let text = "With UTF8=ACCEPT enabled a SEARCH is in UTF-8 and names no charset";
        self.enabled.utf8.then(|| Answer::bad(text).code("CLIENTBUG"))
    }
}

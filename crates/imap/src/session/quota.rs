//! GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208).
//!
//! Every account with a limit has one quota root, named by the empty string, for all its mailboxes. An operator sets the limits.

use mailstore::crdt::account::Usage;
use mailstore::crdt::operation::Quota;
use mailstore::crdt::rights::Rights;
use mailstore::request::{Reply, Request, RequestError};

use super::answer::Answer;
use super::put::put;
use super::{Action, Running, Session, Telling};
use crate::command::Tag;
use crate::encode;
use crate::mailbox_name::NameEncoding;

/// The unit of STORAGE, in octets (RFC 9208 section 5.1).
pub(super) const STORAGE_UNIT: u64 = 1024;

/// A GETQUOTA or GETQUOTAROOT that waits for what the account holds.
pub(super) struct Asking {
    tag: Tag,
    /// The mailbox whose root was asked for, and how it is spelled.
    mailbox: Option<(String, NameEncoding)>,
}

impl Session {
    pub(super) fn quota(&mut self, tag: Tag, root: &str, out: &mut Vec<u8>) -> Action {
        match root {
            "" => self.ask_quota(Asking { tag, mailbox: None }),
            _ => self.fail(&tag, Answer::no("NONEXISTENT", "There is no such quota root"), out),
        }
    }

    pub(super) fn quota_root(&mut self, tag: Tag, mailbox: &str, out: &mut Vec<u8>) -> Action {
        let name = self.canonical(mailbox);
        match self.permit(mailbox, Rights::READ) {
            Ok(found) if found.is_own => {
                self.ask_quota(Asking { tag, mailbox: Some((name, self.name_encoding())) })
            }
            // What is in it counts to its owner, who need not have others know how much he has.
            Ok(_) => {
                write_roots(&name, self.name_encoding(), false, out);
                self.done(&tag, "Completed", out)
            }
            Err(refusal) => self.fail(&tag, refusal, out),
        }
    }

    pub(super) fn set_quota(&mut self, tag: &Tag, out: &mut Vec<u8>) -> Action {
        let text = "The operator of this server sets quotas: peerpost user quota";
        self.fail(tag, Answer::no("NOPERM", text), out)
    }

    fn ask_quota(&mut self, asking: Asking) -> Action {
        let Some(account) = self.account() else { return self.waiting() };
        self.running = Running::Quota(asking);
        Action::Ask(Request::Usage { account })
    }

    pub(super) fn quota_answered(
        &mut self,
        asking: &Asking,
        answer: Result<Reply, RequestError>,
        out: &mut Vec<u8>,
    ) -> Action {
        let answer = match answer {
            Ok(Reply::Usage { usage, quota }) => asking.tell(usage, quota, out),
            Ok(_) => Answer::misfit(),
            Err(error) => Answer::refused(&error),
        };
        self.finish(&asking.tag, Telling::Everything, answer, out)
    }
}

impl Asking {
    fn tell(&self, usage: Usage, quota: Quota, out: &mut Vec<u8>) -> Answer {
        let is_bounded = quota != Quota::default();
        if let Some((name, spelling)) = &self.mailbox {
            write_roots(name, *spelling, is_bounded, out);
        } else if !is_bounded {
            return Answer::no("NONEXISTENT", "There is no such quota root");
        }
        if is_bounded {
            put!(out, "* QUOTA \"\" ({})\r\n", resources(usage, quota).join(" "));
        }
        Answer::ok("Completed")
    }
}

/// Appends `* QUOTAROOT mailbox`, with the one root that there is where anything is bounded.
fn write_roots(name: &str, spelling: NameEncoding, is_bounded: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* QUOTAROOT ");
    encode::mailbox(name, spelling, out);
    out.extend_from_slice(if is_bounded { b" \"\"\r\n" } else { b"\r\n" });
}

/// `STORAGE 10 512`, `MESSAGE 20 100`, as far as they are bounded.
fn resources(usage: Usage, quota: Quota) -> Vec<String> {
    let resource =
        |name: &str, used: u64, most: Option<u64>| most.map(|most| format!("{name} {used} {most}"));
    let units = usage.octets.div_ceil(STORAGE_UNIT);
    let most = quota.octets.map(|octets| octets / STORAGE_UNIT);
    [resource("STORAGE", units, most), resource("MESSAGE", usage.messages, quota.messages)]
        .into_iter()
        .flatten()
        .collect()
}

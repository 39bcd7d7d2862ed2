//! A life as people read it: one line for each event.

use std::fmt;

use super::{Acceptance, Explanation, LifeEvent, Now, What};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation { account, mailbox, uid, uid_validity, .. } = self;
        writeln!(f, "{account}, {mailbox}, UID {uid} (UIDVALIDITY {uid_validity})")?;
        writeln!(f, "message {}, EMAILID {}", self.entry, self.email_id)?;
        writeln!(f, "{} octets, body {}", self.octets, self.body)?;
        for event in &self.events {
            writeln!(f, "{event}")?;
        }
        if self.events_left_out > 0 {
            writeln!(f, "and {} later events", self.events_left_out)?;
        }
        if !self.other_epochs.is_empty() {
            let epochs: Vec<String> = self.other_epochs.iter().map(u32::to_string).collect();
            writeln!(f, "UID {uid} named other messages under UIDVALIDITY {}", epochs.join(", "))?;
        }
        write!(f, "now: {}", self.now)
    }
}

impl fmt::Display for LifeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}: {}", self.at, self.node, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Accepted { by, mailbox, flags } => {
                let by = match by {
                    Acceptance::Delivery => "accepted from an MTA",
                    Acceptance::Append => "appended by a client",
                    Acceptance::Copy => "copied by a client",
                };
                write!(f, "{by} into {mailbox}{}", with(" with ", flags))
            }
            What::AcceptedAgain { mailbox, entry } => {
                write!(f, "the same delivery accepted once more into {mailbox}, as {entry}")
            }
            What::Placed { mailbox, uid_validity, uid } => {
                write!(f, "placed in {mailbox} at UID {uid} (UIDVALIDITY {uid_validity})")
            }
            What::Numbered { mailbox, uid_validity, uid } => {
                write!(f, "numbered UID {uid} when {mailbox} was given UIDVALIDITY {uid_validity}")
            }
            What::Held { mailbox, uid, .. } => write!(
                f,
                "not shown in {mailbox} at UID {uid}: clients there had been told a higher UIDNEXT before it came"
            ),
            What::FlagsChanged { set, cleared } => {
                write!(f, "flags changed:{}{}", with(" set ", set), with(" cleared ", cleared))
            }
            What::Moved { to } => write!(f, "moved to {to}"),
            What::Expunged { because_deleted: true } => write!(f, "expunged, being \\Deleted"),
            What::Expunged { because_deleted: false } => write!(f, "expunged"),
        }
    }
}

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Now::Visible { flags } => write!(f, "visible{}", with(" with ", flags)),
            Now::Reissued { uid_validity, uid, flags } => {
                write!(
                    f,
                    "reissued, visible as UID {uid} (UIDVALIDITY {uid_validity}){}",
                    with(" with ", flags)
                )
            }
            Now::Moved { mailbox, uid_validity, uid, flags } => write!(
                f,
                "moved, visible in {mailbox} as UID {uid} (UIDVALIDITY {uid_validity}){}",
                with(" with ", flags)
            ),
            Now::Expunged => write!(f, "expunged"),
            Now::AccountRemoved => write!(f, "gone with its account, which was removed"),
            Now::ShownAs { entry, mailbox, uid_validity, uid } => write!(
                f,
                "the same delivery is visible in {mailbox} as UID {uid} (UIDVALIDITY {uid_validity}), message {entry}"
            ),
            Now::Waiting { mailbox, why } => write!(f, "in {mailbox}, not visible on this node: {why}"),
        }
    }
}

/// Flags after what introduces them; nothing where there are none.
fn with(before: &str, flags: &[String]) -> String {
    if flags.is_empty() { String::new() } else { format!("{before}{}", flags.join(" ")) }
}

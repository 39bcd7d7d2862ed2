//! The steps of the demo, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::comparison::{differences, inboxes, places};
use super::nodes::Node;
use super::relay::Relay;
use super::site::{ACCOUNT, Seen, Site};
use super::told;
use super::words::Words;
use crate::failure::Failure;

/// How long anything may take that is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Accepted while the nodes are in touch, by side.
const TOGETHER: [&[&str]; 2] = [&["Budget", "Minutes of Monday"], &["Newsletter", "Win a prize"]];
/// Accepted while they are not.
const APART: [&[&str]; 2] = [&["Invoice 1042", "Lunch on Friday?"], &["Photos", "Server report"]];
/// Flagged on both sides, differently.
const FLAGGED: &str = "Budget";
/// Moved on both sides, to different mailboxes.
const MOVED: &str = "Minutes of Monday";
/// Deleted on the second side.
const EXPUNGED: &str = "Win a prize";

/// Tells everything; at the end the two nodes still run.
pub async fn tell(words: &mut Words) -> Result<Demo, Failure> {
    let mut demo = Demo::start(words).await?;
    demo.together(words).await?;
    demo.apart(words).await?;
    demo.join(words).await?;
    Ok(demo)
}

/// What runs. Processes end before their directory is removed: fields are dropped in their order.
pub struct Demo {
    sites: [Site; 2],
    relay: Relay,
    password: String,
    directory: TempDir,
    /// What each client had been shown when the link was mended: by EMAILID, the UID and the UIDNEXT of its side.
    before: [BTreeMap<String, u32>; 2],
    announced: [u32; 2],
}

impl Demo {
    /// Two nodes of one cluster, a line between them, an account, a mail client on each.
    async fn start(words: &mut Words) -> Result<Self, Failure> {
        words.heading("Two nodes")?;
        words.paragraph(
            "ams and fra are two nodes of one mail store, as in two datacenters. Both take mail, both serve the same \
             account, and neither is the main one. Here they are two processes on this machine.",
        )?;
        let directory = tempfile::Builder::new().prefix("peerpost-demo-").tempdir();
        let directory = directory.map_err(Failure::of("cannot make a temporary directory"))?;
        let [mut ams, mut fra] = Node::two(["ams", "fra"], directory.path())?;
        let relay = Relay::start([ams.quic, fra.quic]).await?;
        let [ams_front, fra_front] = relay.fronts();
        ams.configure(ams_front)?;
        fra.configure(fra_front)?;
        let password = password();
        words.line("ams$ peerpost init")?;
        ams.run(&["init"], "").await?;
        words.line("ams$ peerpost user add alice --password-stdin")?;
        ams.run(&["user", "add", ACCOUNT, "--password-stdin"], &format!("{password}\n")).await?;
        words.line("ams$ peerpost serve")?;
        ams.serve().await?;
        words.line("ams$ peerpost cluster invite")?;
        let token = ams.run(&["cluster", "invite"], "").await?;
        words.line("fra$ peerpost cluster join TOKEN")?;
        fra.run(&["cluster", "join", token.trim()], "").await?;
        words.line("fra$ peerpost serve\n")?;
        fra.serve().await?;
        let sites = [Site::open(ams, &password).await?, Site::open(fra, &password).await?];
        Ok(Demo { sites, relay, password, directory, before: Default::default(), announced: [1; 2] })
    }

    async fn together(&mut self, words: &mut Words) -> Result<(), Failure> {
        words.heading("Mail on both")?;
        words.paragraph(
            "Each node is handed two messages by LMTP, as by the Postfix beside it. On each a mail client has INBOX \
             open, and keeps it open to the end.",
        )?;
        // One after the other, so that the numbers are the same whenever this is told.
        for (side, subjects) in TOGETHER.iter().enumerate() {
            self.deliver(side, subjects).await?;
            self.wait_until_alike(
                words,
                &format!("{} messages alike on both", 2 * (side + 1)),
                2 * (side + 1),
            )
            .await?;
        }
        words.table(&inboxes(&self.sites))?;
        words.paragraph(
            "UIDs are the numbers by which mail clients know messages. A node gives them from blocks of 64 of its own, \
             so two nodes never choose the same one: that is why they jump.",
        )
    }

    async fn apart(&mut self, words: &mut Words) -> Result<(), Failure> {
        words.heading("The link is cut")?;
        self.relay.cut();
        let waiting = words.waiting("both have noticed", LONGEST_WAIT);
        while !self.both_alone().await? {
            waiting.a_little(words, "`peerpost status` still tells of a connection").await?;
        }
        waiting.over(words)?;
        words.paragraph(&format!(
            "Both go on. ams takes \"{}\" and \"{}\"; fra takes \"{}\" and \"{}\". Both clients see their side's mail \
             at once, with UIDs. Then the same user works on both:",
            APART[0][0], APART[0][1], APART[1][0], APART[1][1]
        ))?;
        self.deliver(0, APART[0]).await?;
        self.deliver(1, APART[1]).await?;
        let [ams, fra] = &mut self.sites;
        ams.client.flag(FLAGGED, "\\Flagged").await?;
        fra.client.flag(FLAGGED, "\\Seen").await?;
        ams.client.move_to(MOVED, "Archive").await?;
        fra.client.move_to(MOVED, "Trash").await?;
        fra.client.expunge(EXPUNGED).await?;
        words.lines(&format!(
            "on ams   flags \"{FLAGGED}\"\non fra   reads \"{FLAGGED}\"\non ams   moves \"{MOVED}\" to Archive\n\
             on fra   moves \"{MOVED}\" to Trash, a little later\non fra   deletes \"{EXPUNGED}\""
        ))?;
        words.paragraph("What each side sees now:")?;
        for site in &mut self.sites {
            site.refresh().await?;
        }
        words.table(&inboxes(&self.sites))?;
        for ((site, before), announced) in
            self.sites.iter_mut().zip(&mut self.before).zip(&mut self.announced)
        {
            site.client.forget();
            *before = site.client.messages().map(|message| (message.email_id.clone(), message.uid)).collect();
            *announced = site.client.uid_next();
        }
        Ok(())
    }

    async fn join(&mut self, words: &mut Words) -> Result<(), Failure> {
        words.heading("The link is back")?;
        self.relay.mend();
        self.wait_until_alike(words, "both sides alike", 6).await?;
        self.check_nothing_lost().await?;
        words.table(&inboxes(&self.sites))?;
        words.paragraph(
            "Every mailbox is the same on both: UIDVALIDITY, UIDs, EMAILIDs and flags, in the sessions that stayed \
             open and in new ones.",
        )?;
        self.tell_what_merged(words).await?;
        self.tell_what_was_reissued(words).await?;
        self.tell_what_sessions_heard(words)
    }

    async fn tell_what_merged(&mut self, words: &mut Words) -> Result<(), Failure> {
        words.heading("What merged")?;
        let listings = self.sites[0].listings().await?;
        let places = places(&listings);
        let place = places.get(MOVED).map(|mailboxes| mailboxes.join(" and ")).unwrap_or_default();
        let inbox = self.sites[0].inbox();
        let flags = inbox.get(FLAGGED).map(|message| message.flag_words()).unwrap_or_default();
        if flags != "\\Flagged \\Seen" {
            return Err(Failure::new(format!("{FLAGGED:?} lost a flag of one side; it has {flags:?}")));
        }
        words.lines(&format!(
            "\"{FLAGGED}\" has the flags of both sides: {flags}.\n\
             \"{MOVED}\", moved on both sides, is once, in {place}.\n\
             \"{EXPUNGED}\" is gone on both.\n\
             The four messages that came in while the nodes were apart are on both."
        ))
    }

    async fn tell_what_was_reissued(&mut self, words: &mut Words) -> Result<(), Failure> {
        words.heading("What was reissued, and why")?;
        let mut rows = vec![["message", "accepted by", "UID before", "UID now"].map(str::to_owned).to_vec()];
        let (mut reasons, mut example) = (Vec::new(), None);
        for (side, site) in self.sites.iter().enumerate() {
            let before = &self.before[side];
            for message in site.client.messages() {
                let Some(old) = before.get(&message.email_id).filter(|old| **old != message.uid) else {
                    continue;
                };
                let (here, there) = (site.name(), self.sites[1 - side].name());
                let (subject, new) = (&message.subject, message.uid);
                rows.push(vec![subject.clone(), here.to_owned(), old.to_string(), new.to_string()]);
                reasons.push((here, there, self.announced[1 - side]));
                example.get_or_insert((side, new));
            }
        }
        if rows.len() == 1 {
            return words.paragraph(
                "Nothing: no client had been shown messages in an order that the other side could not keep.",
            );
        }
        words.table(&rows)?;
        reasons.dedup();
        for (here, there, announced) in reasons {
            words.paragraph(&format!(
                "While the nodes were apart, {there} told its client that new messages would have UID {announced} or \
                 higher (UIDNEXT), and IMAP clients rely on that: they look for new mail only there. The messages above \
                 came from {here} with lower UIDs. Clients of {there} could have missed them, so they got new UIDs, \
                 on both nodes. Flags and EMAILID stay; no other message changed its UID."
            ))?;
        }
        self.tell_history(words).await?;
        match example {
            Some((side, uid)) => self.tell_life(words, side, uid).await,
            None => Ok(()),
        }
    }

    /// What an operator is told of the life of one message.
    async fn tell_life(&self, words: &mut Words, side: usize, uid: u32) -> Result<(), Failure> {
        let Some(site) = self.sites.get(side) else { return Ok(()) };
        let uid = uid.to_string();
        let life = site.node.run(&["explain", ACCOUNT, "INBOX", &uid], "").await?;
        words.lines(&format!("{}$ peerpost explain alice INBOX {uid}\n{life}", site.name()))
    }

    /// What an operator is told of the merge.
    async fn tell_history(&self, words: &mut Words) -> Result<(), Failure> {
        for site in &self.sites {
            let history = site.node.run(&["history", ACCOUNT, "INBOX"], "").await?;
            let last: Vec<&str> = last_merge(&history, site.name());
            words.lines(&format!("{}$ peerpost history alice INBOX\n{}", site.name(), last.join("\n")))?;
        }
        Ok(())
    }

    fn tell_what_sessions_heard(&mut self, words: &mut Words) -> Result<(), Failure> {
        words.heading("What the open mail clients were told")?;
        for site in &mut self.sites {
            let mut rows = vec![vec![format!("client on {}", site.name()), "what it means".to_owned()]];
            rows.extend(told::rows(&site.client.forget()));
            words.table(&rows)?;
        }
        words.paragraph(
            "No connection was closed, no mailbox was downloaded again, and no UID ever named two messages.",
        )
    }

    /// How to look at it with the reader's own mail client.
    pub fn invite_the_reader(&self, words: &mut Words) -> Result<(), Failure> {
        words.heading("Now you")?;
        let mut rows = vec![["node", "IMAP, no TLS", "LMTP"].map(str::to_owned).to_vec()];
        rows.extend(self.sites.iter().map(|Site { node, .. }| {
            vec![node.name.to_owned(), node.imap.to_string(), node.lmtp.to_string()]
        }));
        words.table(&rows)?;
        words.lines(&format!("user      {ACCOUNT}\npassword  {}", self.password))?;
        let config = self.sites[0].node.config.display();
        // As the reader started it, which need not be in the PATH.
        let peerpost = std::env::args().next().unwrap_or_else(|| "peerpost".into());
        words.lines(&format!(
            "{peerpost} --config {config} status\n{peerpost} --config {config} history alice\n\
             curl -u {ACCOUNT}:{} 'imap://{}/INBOX;UID=1'",
            self.password, self.sites[0].node.imap
        ))?;
        words.paragraph(
            "Both nodes run until you press Ctrl-C. Then they end, and everything they wrote is removed.",
        )
    }

    /// Ends the nodes and removes what they wrote.
    pub fn end(self) -> Result<(), Failure> {
        let Demo { sites, relay, directory, .. } = self;
        drop((sites, relay));
        let path = directory.path().display().to_string();
        directory.close().map_err(Failure::of(format!("cannot remove {path}; remove it by hand")))
    }

    /// Hands messages to one side; its client sees them at once.
    async fn deliver(&mut self, side: usize, subjects: &[&str]) -> Result<(), Failure> {
        let Some(site) = self.sites.get_mut(side) else { return Ok(()) };
        for subject in subjects {
            site.deliver(subject).await?;
            site.refresh().await?;
        }
        Ok(())
    }

    /// Waits until both clients see `count` messages in INBOX, and every mailbox is alike.
    async fn wait_until_alike(&mut self, words: &mut Words, what: &str, count: usize) -> Result<(), Failure> {
        let waiting = words.waiting(what, LONGEST_WAIT);
        loop {
            let mut state = differences(&mut self.sites).await?;
            let seen = self.sites[0].client.messages().count();
            if state.is_empty() && seen != count {
                state.push(format!("both see {seen} messages in INBOX instead of {count}"));
            }
            match state.first() {
                None => return waiting.over(words),
                Some(state) => waiting.a_little(words, state).await?,
            }
        }
    }

    /// Whether each node says that it cannot reach the other.
    async fn both_alone(&self) -> Result<bool, Failure> {
        for site in &self.sites {
            let status = site.node.ask(&["status", "--json"]).await?;
            let peers = status.pointer("/replication/peers").and_then(Value::as_array);
            let connected = |peer: &Value| peer.get("connected_since").is_some_and(|since| !since.is_null());
            if peers.is_none_or(|peers| peers.iter().any(connected)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Every message that was accepted and not deleted is there once; no name ever meant two messages, on either side.
    async fn check_nothing_lost(&mut self) -> Result<(), Failure> {
        let listings = self.sites[0].listings().await?;
        let places = places(&listings);
        let accepted: BTreeSet<&str> =
            TOGETHER.iter().chain(&APART).flat_map(|subjects| subjects.iter()).copied().collect();
        for subject in accepted.into_iter().filter(|subject| *subject != EXPUNGED) {
            match places.get(subject).map(Vec::as_slice) {
                Some([_]) => {}
                Some(mailboxes) => {
                    let mailboxes = mailboxes.join(", ");
                    return Err(Failure::new(format!("{subject:?} is there more than once: in {mailboxes}")));
                }
                None => return Err(Failure::new(format!("{subject:?} was accepted and is lost"))),
            }
        }
        if places.contains_key(EXPUNGED) {
            return Err(Failure::new(format!("{EXPUNGED:?} was deleted and came back")));
        }
        let mut names: Seen = self.sites[0].seen().clone();
        for (name, email_id) in self.sites[1].seen() {
            if names.insert(name.clone(), email_id.clone()).is_some_and(|other| other != *email_id) {
                return Err(Failure::new(format!("{name:?} named two messages, one on each node")));
            }
        }
        Ok(())
    }
}

/// The lines of the last merge on a node in what `history` prints.
fn last_merge<'a>(history: &'a str, node: &str) -> Vec<&'a str> {
    let mut last = Vec::new();
    let mut on_node = false;
    for line in history.lines() {
        if !line.starts_with(' ') {
            on_node = line.contains(&format!("  on {node} "));
            if on_node {
                last.clear();
            }
        }
        if on_node {
            last.push(line);
        }
    }
    last
}

/// Four times four letters that nobody guesses.
fn password() -> String {
    let letters = crate::node::random().map(|octet| char::from(b'a' + octet % 26));
    letters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

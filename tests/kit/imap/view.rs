//! The selected mailbox as one client has been told of it.

/// One sequence number.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Once it was told.
    uid: Option<u32>,
    /// No UID below this can be here: what was announced when the message appeared.
    floor: u32,
}

/// Sequence numbers and UIDs of a session.
#[derive(Clone, Debug)]
pub struct View {
    pub mailbox: String,
    pub uid_validity: u32,
    /// The UIDNEXT that was told last.
    pub uid_next: u32,
    /// How many messages were expunged in this session.
    pub expunged: usize,
    slots: Vec<Slot>,
}

impl View {
    pub fn new(mailbox: &str) -> Self {
        Self { mailbox: mailbox.to_owned(), uid_validity: 0, uid_next: 0, expunged: 0, slots: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The sequence numbers whose UID was not told yet.
    pub fn unknown(&self) -> Vec<usize> {
        (1..).zip(&self.slots).filter(|(_, slot)| slot.uid.is_none()).map(|(number, _)| number).collect()
    }

    /// The UIDs in order. Panics where one was not told yet.
    #[track_caller]
    pub fn uids(&self) -> Vec<u32> {
        self.slots.iter().map(|slot| slot.uid.unwrap()).collect()
    }

    #[track_caller]
    pub fn exists(&mut self, count: usize) {
        assert!(
            count >= self.slots.len(),
            "{}: EXISTS went from {} to {count} without EXPUNGE",
            self.mailbox,
            self.slots.len()
        );
        let highest = self.slots.iter().filter_map(|slot| slot.uid).max().unwrap_or(0);
        let floor = self.uid_next.max(highest + 1);
        self.slots.resize(count, Slot { uid: None, floor });
    }

    #[track_caller]
    pub fn expunge(&mut self, number: usize) {
        let count = self.slots.len();
        assert!((1..=count).contains(&number), "{}: EXPUNGE {number} of {count} messages", self.mailbox);
        self.slots.remove(number - 1);
        self.expunged += 1;
    }

    /// A FETCH response told the UID of a sequence number.
    #[track_caller]
    pub fn told(&mut self, number: usize, uid: u32) {
        let (mailbox, count) = (&self.mailbox, self.slots.len());
        assert!((1..=count).contains(&number), "{mailbox}: FETCH of {number} of {count} messages");
        let slot = &mut self.slots[number - 1];
        assert!(
            slot.uid.is_none_or(|known| known == uid),
            "{mailbox}: {number} was {slot:?}, now is UID {uid}"
        );
        assert!(
            uid >= slot.floor,
            "{mailbox}: UID {uid} appeared below the announced UIDNEXT {}",
            slot.floor
        );
        slot.uid = Some(uid);
        let before = self.slots[..number - 1].iter().rev().find_map(|slot| slot.uid);
        let after = self.slots[number..].iter().find_map(|slot| slot.uid);
        assert!(
            before.is_none_or(|before| before < uid) && after.is_none_or(|after| uid < after),
            "{mailbox}: UIDs do not ascend: {before:?}, {uid}, {after:?}"
        );
    }
}

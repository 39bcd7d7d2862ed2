//! Whether the checks can fail: test builds leave one rule out and look who notices.
//!
//! Each rule of `docs/uid-mapping.md`, and each trap that a first edition fell into, has a condition at its place in the code.
//! Nothing but the tests `left_out` ever says so. Without debug assertions, as in every release, the condition is a constant and
//! the compiler drops it.
//!
//! Rules that live in a crate above are named here, too: so there is one list, and one place that says what is left out.

/// Declares [`LeftOut`] with its table: what this crate's tests find, and then what those of the crates above find.
macro_rules! left_out {
    (
        $($rule:literal: $($name:ident = $what:literal,)*)*
        ; above:
        $($above:literal in $place:literal: $($high:ident = $does:literal,)*)*
    ) => {
        /// What a test build can leave out.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum LeftOut {
            $($(#[doc = $what] $name,)*)*
            $($(#[doc = $does] $high,)*)*
        }

        impl LeftOut {
            /// Everything of this crate that can be left out, in the order of the rules.
            pub const ALL: &[LeftOut] = &[$($(LeftOut::$name,)*)*];

            /// What can be left out of the crates above, each with the one whose test `left_out` finds it.
            pub const ABOVE: &[(&str, LeftOut)] = &[$($(($place, LeftOut::$high),)*)*];

            /// The rule that it belongs to.
            pub fn rule(self) -> &'static str {
                match self {
                    $($(LeftOut::$name => $rule,)*)*
                    $($(LeftOut::$high => $above,)*)*
                }
            }

            /// What the code does instead.
            pub fn what(self) -> &'static str {
                match self {
                    $($(LeftOut::$name => $what,)*)*
                    $($(LeftOut::$high => $does,)*)*
                }
            }
        }
    };
}

left_out! {
    "identity":
    CopiesAreEntries = "A placement counts for all copies of a message, by EMAILID.",
    EpochsApart = "A placement of an older epoch counts in the present one.",
    GreatestPlacement = "Of several placements the one that arrives last counts, not the greatest.",
    GreatestEpoch = "Of several epochs the one that arrives last counts, not the greatest.",

    "1, own blocks":
    OwnBlocks = "Every node places at the next UID, whoever's block it lies in.",
    FoundersDeal = "Blocks are dealt to the members of the moment: a join changes owners.",
    AboveAllKnown = "A node places above what it has shown, not above all it knows.",
    AnnouncedIsKept = "UIDNEXT is built again from what is visible after a start.",

    "2, slots":
    ReserveIsShared = "A node grants the lowest slot that it does not know to be taken.",
    ConfirmedGrants = "A life that nobody confirmed grants slots.",
    WitnessGrants = "A life whose disk was rolled back takes its new slot from its own reserve.",
    ReserveIsSpread = "An invitation hands over the upper half of a reserve.",
    ReserveIsHandedOver = "A member that has no slot left to grant gets none from the others.",

    "3, place on a look":
    PlaceOnLook = "Messages are placed when they are accepted, whether somebody looks or not.",
    AppendIsALook = "APPEND, COPY and MOVE do not place what they answer for.",
    PlaceInTurn = "Whoever looks places at once.",
    SparseLeaves = "A node whose blocks lie far apart places all that it accepts.",
    LookGossip = "Nodes do not hear who looks where.",
    OthersPlace = "Where the one in turn does not place, nobody does.",

    "4, hold what is late":
    Hold = "What is late is shown where it lies.",
    LatenessIsTold = "A node holds and tells nobody.",
    HoldWithBody = "A node holds what it has no body of.",
    VisibleStays = "What is late under a new UID disappears until it is reissued.",
    LowerBodiesFirst = "An entry is shown before entries of lower UIDs whose bodies are on their way.",
    BodyWaitEnds = "An entry waits for bodies of lower UIDs for as long as they take.",

    "5, reissue":
    Reissue = "What is held is not placed again.",
    OldUidGoes = "The row of the UID before stays.",

    "6, one placer":
    LeaperReissues = "What lies below a leap is left to the placer, which did not leap as far.",
    OnePlacer = "Whoever finds an entry late reissues it at once.",
    TurnBeginsAnew = "A turn is counted from when an entry first waited, whatever UID it got since.",
    OthersReissue = "Where the placer does not reissue, nobody does.",
    Adoption = "Announcements of others are not adopted.",
    AdoptedIsTold = "What was adopted from a life that was lost since is told by nobody.",
    FallenIsKept = "What a lost life told is forgotten as soon as its successor tells less.",
    WaitedIsTold = "What was told while something waited is not told again when nothing waits any more.",
    StartIsTold = "A mailbox in which something waits since a start is not announced.",
    MergeBeforeAdopting = "An announcement is adopted before what it covers is here.",
    BeyondIsMerged = "An announcement is adopted before all that its author may have shown is here, where something waits there.",
    ShowBeforeAdopting = "An announcement is adopted before what it covers is shown.",
    Forwarding = "Announcements are not passed on.",
    MeetFirst = "Nodes that meet again reissue before they have heard each other.",
    MeetingEnds = "Nodes that have met wait for each other's records for as long as they take.",

    "7, ordered mode":
    OrderedMode = "After a reissue everybody goes on placing its own messages.",
    AnswersWait = "APPEND, COPY and MOVE place at once in ordered mode, too.",
    AnswersLinger = "Nobody hears of mailboxes to which clients append without selecting them.",

    "8, restart and amnesia":
    PeerHoldsMore = "A member that holds more of the life before confirms.",
    PeerHoldsOther = "A member that holds other records of the life before confirms.",
    JudgesItself = "A life that gets what its disk has lost goes on until a member judges it.",
    SealedTwice = "A second life that seals the same predecessor is confirmed.",
    AllLivesJudged = "Of a slot's lives only the last is judged.",
    HeirsGrant = "A life waits for a slot from the member that it asked, whatever became of that.",
    OnlyFirmIsKnown = "What a life got that was not confirmed counts as shown before.",
    EveryMemberConfirms = "One member's confirmation is enough.",
    LeapUnconfirmed = "A life that was not confirmed does not leap.",
    LeapAtRandom = "All leaps are equally long.",
    WaitForConfirmation = "A start does not wait for confirmations.",
    KnownIsServed = "What was known before a start is as new as what comes after it.",
    KnownIsLeapt = "What was known before a start is shown without a leap over a loss before it.",
    KnownWaits = "What was known before a start is shown before those who know better can say so.",
    RolledBackRests = "A life whose disk was rolled back goes on in its slot.",
    LossIsLeapt = "Nobody leaps when another member's placements are lost.",
    AdvanceIsBounded = "A node's own placements advance an epoch as far as they like.",
    LongAsleepFounds = "A life that slept for more than thirty days leaps like any other.",

    "9, bumps":
    GreaterStays = "Of two mailboxes of one name the first created keeps it, whatever its UIDVALIDITY.",
    GreaterBumpWins = "After concurrent bumps both sides converge above both.",
    NameRemembers = "A mailbox that comes to a name keeps a UIDVALIDITY below the name's.",
    NameIsBorne = "A UIDVALIDITY that is shown under another name is not remembered for that name.",
    FoundingNumbers = "A founding record contains no numbering: all are placed again, singly.",
    BlocksAboveNumbering = "Own blocks start at 1, not above the numbering.",
    RecordFirst = "A node takes to an epoch of which it has seen a placement only.",
    ValidityOfSlot = "UIDVALIDITY is not rounded to the slot.",
    ValidityAtRandom = "A life that was not confirmed founds like any other.",
    ValidityRises = "A new UIDVALIDITY follows the clock alone.",
    ReorderPolicy = "uid.on_reorder says nothing.",
    LimitIsThePlacers = "Whoever reissues decides by itself whether a merge reissues too much.",
    ReissueLimit = "uid.reissue_limit says nothing.",
    LimitIsOfMerges = "uid.reissue_limit counts what nodes reissue that are in touch.",
    SpaceEnds = "UIDs go on above 2^31.",
    NewObject = "MAILBOXID stays what it was.",

    "flags, expunges, moves, mailboxes":
    FlagByFlag = "A change writes all flags of a message, not only those that it changes.",
    ClockIsChecked = "A clock far ahead is followed.",
    LatestWriteCounts = "Of two writes of a register the one that arrives last counts, not the later.",
    ExpungeComesFirst = "An expunge that comes before its message is forgotten.",
    ExpungeKnowsMove = "An expunge strikes wherever the message was moved.",
    ExpungeKnowsDeleted = "An expunge strikes though \\Deleted was taken off meanwhile.",
    OnlyUndeletedRevives = "Any flag that is set meanwhile revives an expunged message.",
    MoveIsARegister = "A move is a copy and an expunge.",
    OneNameOneMailbox = "A name that was created on two sides is two mailboxes.",
    DistinctNames = "Of mailboxes renamed to one name the second cannot be seen.",
    MailOutlivesDeletion = "A deleted mailbox is gone with whatever came in.",

    "MODSEQ":
    StampWhenVisible = "A message has the MODSEQ of its acceptance, not of its becoming visible.",
    EveryWriteStamps = "Flags that were set and taken off again elsewhere leave the MODSEQ as it was.",
    SupersededVanish = "A placement that was superseded before it was shown is not reported as expunged.",
    Translation = "A value of another node is taken as an own one.",
    ToldValues = "A value above all that a node told stands for the last one that it told.",
    LearnedWhenVisible = "A value of another node is learned before what was visible at it is visible here.",
    LearnedWithAll = "A value is learned when what was all visible at it is visible here, and not all that may have been.",
    VisibleVector = "A node announces what it has merged, not what is visible.",
    ForksAreForgotten = "Values of a slot with two lives go on being translated.",
    LostValues = "Values of a lost life are taken as own ones.",
    LostClockAhead = "Values of a lost life whose clock ran ahead are taken as own ones.",
    EqualMeansEqual = "HIGHESTMODSEQ is adopted whatever else there is.",
    HighestIsAdopted = "HIGHESTMODSEQ is not raised to what others announced.",
    RaisedOnce = "HIGHESTMODSEQ is raised above another's again and again, though that stands for nothing more.",
    ClockIsKept = "The logical clock begins anew with every start.",

    "deltas":
    LivesInOrder = "Records of a life are applied without those of the life that it seals.",
    GapsAreRefused = "Records that come after a gap are applied.",
    AllIsChecked = "Of a delta that is refused the records before the bad one are applied.",
    OwnersAreChecked = "A peer may place in blocks of others.",
    SegmentsAreChecked = "A peer may add entries to the segments of others.",
    GrantsAreChecked = "A peer may grant the slots of others.",
    PossiblePast = "A peer may have seen what comes after its own writing.",
    PossibleValidity = "A peer may name a UIDVALIDITY of the far future.",

    ; above:
    "1, own blocks" in "simulation":
    CommitFirst = "Clients are answered and shown things before they are committed.",
    SyncFirst = "A commit comes back before it is synced.",
    BodiesFirst = "Bodies are not synced before the tables name them.",

    "1, own blocks" in "mailstore":
    PeersLast = "Peers are told of records before they are committed.",

    "3, place on a look" in "mailstore":
    StatusIsALook = "A STATUS does not count as a look.",

    "6, announcements" in "mailstore":
    NoticesWithoutGap = "Notices that come after a gap are kept.",

    "6, announcements" in "replication":
    NoticesAreForwarded = "Notices of third nodes are not passed on.",
    RecordsAreForwarded = "Records of third nodes are not passed on.",
    DeltasGoOn = "A delta need not go on where the last one ended.",
    MeetingIsTold = "Nodes that meet again do not tell each other what they have.",

    "8, restart and amnesia" in "mailstore":
    VerdictsTravel = "What a node says of another's life does not travel.",

    "9, bumps" in "imap":
    Bye = "Sessions go on when their mailbox is numbered anew.",

    "U3, sessions" in "imap":
    OwnMap = "A session takes numbers for those of the newest view, not of the one that it told.",

    "MODSEQ" in "imap":
    SinceIsTranslated = "CHANGEDSINCE and QRESYNC take a value of another node as an own one.",
    ConditionIsTranslated = "UNCHANGEDSINCE takes a value of another node as an own one.",
    SearchIsTranslated = "SEARCH MODSEQ takes a value of another node as an own one.",

    "POP3" in "simulation":
    UidlIsTheEntry = "UIDL is the UID.",
    SnapshotAtLogin = "Message numbers mean the mailbox as it is now, not as it was at login.",
}

#[cfg(debug_assertions)]
mod chosen {
    use std::cell::Cell;

    use super::LeftOut;

    thread_local! {
        static CHOSEN: Cell<Option<LeftOut>> = const { Cell::new(None) };
    }

    /// Leaves this out from now on, in this thread.
    pub fn leave_out(what: Option<LeftOut>) {
        CHOSEN.set(what);
    }

    /// Whether this is left out.
    pub fn leaves_out(what: LeftOut) -> bool {
        CHOSEN.get() == Some(what)
    }
}

#[cfg(debug_assertions)]
pub use chosen::{leave_out, leaves_out};

/// Whether this is left out: nothing is.
#[cfg(not(debug_assertions))]
pub const fn leaves_out(_: LeftOut) -> bool {
    false
}

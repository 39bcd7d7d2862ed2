use super::*;

const LIMIT: u64 = 1000;

fn settings() -> Arc<Settings> {
    Arc::new(Settings { host_name: "mx.test".into(), largest_message: LIMIT })
}

/// A store in memory that drives a session.
struct Fake {
    session: Session,
    /// What the client was sent.
    sent: String,
    /// Messages delivered: sender, local parts, octets.
    delivered: Vec<(String, Vec<String>, String)>,
    incoming: Option<Vec<u8>>,
    /// What becomes of the next recipients; `Ok` once they are used up.
    outcomes: VecDeque<Result<Accepted, Failure>>,
    /// The store takes this many octets of a message.
    room: usize,
    closed: bool,
}

impl Fake {
    fn new() -> Self {
        Self {
            session: Session::new(settings()),
            sent: String::new(),
            delivered: Vec::new(),
            incoming: None,
            outcomes: VecDeque::new(),
            room: usize::MAX,
            closed: false,
        }
    }

    /// Hands in a piece of input, and carries out actions until more is wanted.
    fn feed(&mut self, piece: &[u8]) {
        let mut input = piece;
        while !self.closed {
            match self.session.next(&mut input) {
                Action::Reply(reply) => {
                    let mut out = Vec::new();
                    reply.write_to(&mut out);
                    self.sent.push_str(std::str::from_utf8(&out).unwrap());
                }
                Action::Read if input.is_empty() => break,
                Action::Read => panic!("input is left: {input:?}"),
                Action::Find(address) if address.local.starts_with("nobody") => {
                    self.session.found(Err(Failure::UnknownRecipient));
                }
                Action::Find(_) => self.session.found(Ok(())),
                Action::Begin(first) => assert!(self.incoming.replace(first).is_none()),
                Action::Content(octets) => {
                    let incoming = self.incoming.as_mut().unwrap();
                    incoming.extend_from_slice(octets);
                    if incoming.len() > self.room {
                        self.incoming = None;
                        self.session.body_failed(Failure::DiskFull);
                    }
                }
                Action::Abandon => assert!(self.incoming.take().is_some()),
                Action::Deliver(envelope) => self.deliver(&envelope),
                Action::Close => self.closed = true,
            }
        }
    }

    fn deliver(&mut self, envelope: &Envelope) {
        let message = String::from_utf8(self.incoming.take().unwrap()).unwrap();
        let recipients: Vec<_> = envelope.recipients.iter().map(|address| address.local.clone()).collect();
        let outcome = |_: &String| self.outcomes.pop_front().unwrap_or(Ok(Accepted::Stored));
        let results: Vec<_> = recipients.iter().map(outcome).collect();
        if results.iter().any(Result::is_ok) {
            self.delivered.push((envelope.sender.clone(), recipients, message));
        }
        self.session.delivered(results);
    }

    /// The codes of the replies so far, those of continued lines left out.
    fn codes(&self) -> String {
        let last_line = |line: &&str| line.as_bytes()[3] == b' ';
        self.sent.lines().filter(last_line).map(|line| &line[..3]).collect::<Vec<_>>().join(" ")
    }

    fn messages(&self) -> Vec<&str> {
        self.delivered.iter().map(|(_, _, message)| message.as_str()).collect()
    }
}

/// Runs the input as one piece, cut in two at every octet, and octet by octet: nothing may depend on it.
#[track_caller]
fn run(input: &[u8]) -> Fake {
    let mut whole = Fake::new();
    whole.feed(input);
    let check = |pieces: &[&[u8]]| {
        let mut fake = Fake::new();
        pieces.iter().for_each(|piece| fake.feed(piece));
        assert_eq!(fake.sent, whole.sent);
        assert_eq!(fake.delivered, whole.delivered);
        assert_eq!(fake.closed, whole.closed);
    };
    for cut in 0..=input.len().min(3000) {
        let (left, right) = input.split_at(cut);
        check(&[left, right]);
    }
    check(&input.chunks(1).collect::<Vec<_>>());
    check(&input.chunks(3).collect::<Vec<_>>());
    whole
}

/// The start of a transaction for two recipients of which one is unknown.
const OPEN: &str = "LHLO mta.test\r\nMAIL FROM:<bob@example.com>\r\nRCPT TO:<alice+in@example.com>\r\n\
    RCPT TO:<nobody>\r\nRCPT TO:<carol>\r\n";
const OPENED: &str = "220 250 250 250 550 250";

#[track_caller]
fn transact(rest: &str) -> Fake {
    let fake = run(format!("{OPEN}{rest}").as_bytes());
    assert!(fake.codes().starts_with(OPENED), "{}", fake.sent);
    fake
}

#[test]
fn a_pipelined_session() {
    let fake = transact("DATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n");
    assert_eq!(
        fake.sent,
        "220 mx.test LMTP Peerpost\r\n\
         250-mx.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n\
         250-CHUNKING\r\n250 SIZE 1000\r\n\
         250 2.1.0 Sender accepted\r\n\
         250 2.1.5 Recipient accepted\r\n\
         550 5.1.1 No such account here\r\n\
         250 2.1.5 Recipient accepted\r\n\
         354 End the message with <CRLF>.<CRLF>\r\n\
         250 2.0.0 Delivered\r\n\
         250 2.0.0 Delivered\r\n\
         221 2.0.0 Goodbye\r\n"
    );
    let message = "Return-Path: <bob@example.com>\r\nSubject: x\r\n\r\n.dot\r\n".to_owned();
    let recipients = vec!["alice+in".to_owned(), "carol".to_owned()];
    assert_eq!(fake.delivered, [("bob@example.com".to_owned(), recipients, message)]);
    assert!(fake.closed);
}

#[test]
fn several_messages_and_the_empty_sender() {
    let next = "MAIL FROM:<> BODY=8BITMIME\r\nRCPT TO:<alice>\r\nDATA\r\nb\u{f6}\n.\n\r\n.\r\n";
    let fake = transact(&format!("DATA\r\na\r\n.\r\n{next}DATA\r\n"));
    assert_eq!(fake.codes(), format!("{OPENED} 354 250 250 250 250 354 250 503"));
    let second = "Return-Path: <>\r\nb\u{f6}\n.\n\r\n";
    assert_eq!(fake.messages(), ["Return-Path: <bob@example.com>\r\na\r\n", second]);
}

#[test]
fn chunks() {
    let fake = transact("BDAT 4\r\na\r\n.BDAT 0\r\nBDAT 5 LAST\r\n\r\nb\r\nNOOP\r\n");
    assert_eq!(fake.codes(), format!("{OPENED} 250 250 250 250 250"));
    assert_eq!(fake.messages(), ["Return-Path: <bob@example.com>\r\na\r\n.\r\nb\r\n"]);

    let fake = transact("BDAT 3\r\na\r\nBDAT 0 LAST\r\n");
    assert_eq!(fake.codes(), format!("{OPENED} 250 250 250"));
    assert_eq!(fake.messages(), ["Return-Path: <bob@example.com>\r\na\r\n"]);

    let fake = transact("BDAT 0 LAST\r\nBDAT 1 LAST\r\nxNOOP\r\n");
    assert_eq!(fake.codes(), format!("{OPENED} 250 250 503 250"));
    assert_eq!(fake.messages(), ["Return-Path: <bob@example.com>\r\n"]);
}

#[test]
fn chunks_out_of_place() {
    let fake = run(b"BDAT 6\r\nQUIT\r\nLHLO x\r\nMAIL FROM:<b>\r\nBDAT 2 LAST\r\n\r\nRCPT TO:<alice>\r\n");
    assert_eq!(fake.codes(), "220 503 250 250 503 250");

    let fake = transact("BDAT 2\r\na\nDATA\r\nRCPT TO:<alice>\r\nMAIL FROM:<x>\r\nRSET\r\nBDAT 0 LAST\r\n");
    assert_eq!(fake.codes(), format!("{OPENED} 250 503 503 503 250 503"));
    assert!(fake.delivered.is_empty() && fake.incoming.is_none());
}

#[test]
fn a_refused_chunk_ends_the_transaction() {
    let big = "x".repeat(600);
    let rest = format!("BDAT 600\r\n{big}BDAT 600\r\n{big}BDAT 600 LAST\r\n{big}NOOP\r\n");
    let fake = transact(&rest);
    assert_eq!(fake.codes(), format!("{OPENED} 250 552 503 250"));
    let fake = transact(&format!("BDAT 600\r\n{big}BDAT 600 LAST\r\n{big}NOOP\r\n"));
    assert_eq!(fake.codes(), format!("{OPENED} 250 552 552 250"));
    let fake = transact("BDAT 99999999999999999999\r\n");
    assert_eq!(fake.codes(), format!("{OPENED} 501"));
    assert!(fake.closed);
    let fake = transact(&format!("BDAT {}\r\n", u64::MAX / 2));
    assert_eq!(fake.codes(), format!("{OPENED} 552"));
    assert!(fake.closed);
}

#[test]
fn what_follows_a_bdat_that_is_not_understood_is_no_command() {
    let fake = transact("BDAT 7x LAST\r\nMAIL FROM:<evil>\r\n");
    assert_eq!(fake.codes(), format!("{OPENED} 501"));
    assert!(fake.closed);
}

#[test]
fn sizes() {
    let fake = run(b"LHLO x\r\nMAIL FROM:<b> SIZE=1001\r\nMAIL FROM:<b> SIZE=1000\r\n");
    assert_eq!(fake.codes(), "220 250 552 250");
    assert!(fake.sent.contains("552 5.3.4 "));

    let line = format!("{}\r\n", "x".repeat(98));
    let fits = transact(&format!("DATA\r\n{}.\r\n", line.repeat(10)));
    assert_eq!(fits.codes(), format!("{OPENED} 354 250 250"));
    let exceeds = transact(&format!("DATA\r\n{}y.\r\n.\r\nNOOP\r\n", line.repeat(10)));
    assert_eq!(exceeds.codes(), format!("{OPENED} 354 552 552 250"));
    assert!(exceeds.delivered.is_empty());
}

#[test]
fn a_message_that_does_not_end_is_given_up() {
    let mut fake = Fake::new();
    fake.feed(format!("{OPEN}DATA\r\na\0").as_bytes());
    let transaction = fake.session.transaction.as_mut().unwrap();
    assert!(matches!(transaction.body, Body::Failed(Failure::NulOctet, 0)));
    transaction.body = Body::Failed(Failure::NulOctet, MOST_DISCARDED - 5);
    fake.feed(b"12345");
    assert!(!fake.closed);
    fake.feed(b"6");
    assert!(
        fake.closed && fake.sent.ends_with("421 4.7.0 The message does not end, closing the connection\r\n")
    );
}

#[test]
fn a_smuggled_message_stays_inside() {
    let inner = "MAIL FROM:<evil>\r\nRCPT TO:<alice>\r\nDATA\r\nevil\r\n";
    for end in ["\n.\n", "\n.\r\n", "\r.\r", "\r\n.\n", "\r\n.\r"] {
        let fake = transact(&format!("DATA\r\na{end}{inner}.\r\nQUIT\r\n"));
        assert_eq!(fake.codes(), format!("{OPENED} 354 250 250 221"), "{end:?}");
        assert!(fake.messages()[0].ends_with(inner));
    }
}

#[test]
fn each_recipient_has_its_own_answer() {
    let mut fake = Fake::new();
    fake.outcomes = VecDeque::from([Err(Failure::DiskFull), Ok(Accepted::Duplicate)]);
    fake.feed(format!("{OPEN}DATA\r\na\r\n.\r\nNOOP\r\n").as_bytes());
    assert!(fake.sent.ends_with(
        "452 4.3.1 The disk is full, try again later\r\n250 2.0.0 Delivered before, kept once\r\n\
         250 2.0.0 Nothing done\r\n"
    ));
}

#[test]
fn a_full_disk_in_the_middle_of_a_message() {
    let mut fake = Fake::new();
    fake.room = 50;
    fake.feed(format!("{OPEN}DATA\r\n").as_bytes());
    (0..20).for_each(|_| fake.feed(b"a line of text\r\n"));
    fake.feed(b".\r\n");
    fake.room = usize::MAX;
    fake.feed(b"MAIL FROM:<b>\r\nRCPT TO:<alice>\r\nDATA\r\na\r\n.\r\n");
    assert_eq!(fake.codes(), format!("{OPENED} 354 452 452 250 250 354 250"));
    assert_eq!(fake.messages().len(), 1);
}

#[test]
fn commands_out_of_order() {
    let fake =
        run(b"MAIL FROM:<b>\r\nRCPT TO:<alice>\r\nDATA\r\nEHLO x\r\nHELO x\r\nLHLO x\r\nRCPT TO:<alice>\r\n\
        MAIL FROM:<b>\r\nMAIL FROM:<c>\r\nDATA\r\nRCPT TO:<nobody>\r\nDATA\r\nLHLO x\r\nRCPT TO:<alice>\r\n\
        VRFY alice\r\nHELP\r\nEXPN staff\r\n");
    assert_eq!(fake.codes(), "220 503 503 503 500 500 250 503 250 503 503 550 503 250 503 252 214 502");
}

#[test]
fn bad_lines() {
    let long = "x".repeat(3000);
    let input = format!("LHLO x\r\nNO\0OP\r\nNOOP\nNOOP \u{1}\r\n{long}\r\n\r\nNOOP\r\nDATA now\r\n");
    let fake = run(input.as_bytes());
    assert_eq!(fake.codes(), "220 250 500 500 500 500 500 250 501");
    assert_eq!(run(b"NOOP \xff\xfe\r\nNOOP\r\n").codes(), "220 500 250");
    let mut endless = Fake::new();
    endless.feed(&vec![b'x'; 2 << 20]);
    assert!(
        endless.closed
            && endless.sent.ends_with("421 4.7.0 The line does not end, closing the connection\r\n")
    );
}

#[test]
fn messages_with_nul_are_refused() {
    let fake = transact("DATA\r\na\0b\r\n.\r\nNOOP\r\n");
    assert_eq!(fake.codes(), format!("{OPENED} 354 554 554 250"));
    assert!(fake.sent.contains("554 5.6.0 "));
}

#[test]
fn utf8_addresses_have_to_be_asked_for() {
    let fake =
        run("LHLO x\r\nMAIL FROM:<b>\r\nRCPT TO:<j\u{f6}rg>\r\nRSET\r\nMAIL FROM:<\u{f6}@x> SMTPUTF8\r\n\
        RCPT TO:<j\u{f6}rg>\r\nDATA\r\n.\r\n"
            .as_bytes());
    assert_eq!(fake.codes(), "220 250 250 553 250 250 250 354 250");
    assert_eq!(fake.messages(), ["Return-Path: <\u{f6}@x>\r\n"]);
}

#[test]
fn too_many_errors_end_the_session() {
    let fake = run("NONSENSE\r\n".repeat(MOST_ERRORS + 5).as_bytes());
    assert_eq!(fake.sent.matches("\r\n500 ").count(), MOST_ERRORS);
    assert!(fake.closed && fake.sent.ends_with("421 4.7.0 Too many errors, closing the connection\r\n"));
}

#[test]
fn unknown_recipients_are_no_errors_and_recipients_are_bounded() {
    let mut fake = Fake::new();
    fake.feed(b"LHLO x\r\nMAIL FROM:<b>\r\n");
    fake.feed("RCPT TO:<nobody>\r\n".repeat(100).as_bytes());
    fake.feed("RCPT TO:<alice>\r\n".repeat(MOST_RECIPIENTS + 30).as_bytes());
    fake.feed(b"DATA\r\na\r\n.\r\n");
    assert_eq!(fake.sent.matches("452 4.5.3 ").count(), 30);
    assert_eq!(fake.sent.matches("250 2.0.0 Delivered").count(), MOST_RECIPIENTS);
    assert!(!fake.closed);
}

#[test]
fn shutting_down_waits_for_the_transaction() {
    let mut fake = Fake::new();
    fake.feed(OPEN.as_bytes());
    fake.session.shut_down();
    fake.feed(b"DATA\r\na\r\n.\r\nMAIL FROM:<b>\r\nRCPT TO:<alice>\r\n");
    assert_eq!(fake.codes(), format!("{OPENED} 354 250 250 421"));
    assert!(fake.closed && fake.messages().len() == 1);

    let mut idle = Fake::new();
    idle.feed(b"LHLO x\r\n");
    idle.session.shut_down();
    idle.feed(b"");
    assert!(idle.closed && idle.sent.contains("\r\n421 4.3.2 "));

    let mut store = Fake::new();
    store.outcomes = VecDeque::from([Ok(Accepted::Stored), Err(Failure::ShuttingDown)]);
    store.feed(format!("{OPEN}DATA\r\na\r\n.\r\n").as_bytes());
    assert_eq!(store.codes(), format!("{OPENED} 354 250 451 421"));
    assert!(store.closed);
}

#[test]
fn silence_ends_the_session() {
    let mut fake = Fake::new();
    fake.feed(OPEN.as_bytes());
    fake.session.timed_out();
    fake.feed(b"DATA\r\n");
    assert!(fake.closed && fake.sent.contains("421 4.4.2 "));
}

/// Lines of the grammar in any order, cut anywhere, never panic and never depend on the cuts.
#[test]
fn any_session_is_survived() {
    const LINES: [&str; 17] = [
        "LHLO x\r\n",
        "MAIL FROM:<b>\r\n",
        "RCPT TO:<alice>\r\n",
        "RCPT TO:<nobody>\r\n",
        "DATA\r\n",
        "a\r\n",
        ".\r\n",
        "..\r\n",
        "BDAT 5\r\n",
        "BDAT 12 LAST\r\n",
        "BDAT 0 LAST\r\n",
        "RSET\r\n",
        "NOOP\n",
        ".\r",
        "\0",
        "LHLO y\r\n",
        "MAIL FROM:<c> SIZE=9\r\n",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for _ in 0..3000 {
        let input: String = (0..24).map(|_| LINES[random(LINES.len())]).collect();
        let mut whole = Fake::new();
        whole.feed(input.as_bytes());
        let (mut cut, mut rest) = (Fake::new(), input.as_bytes());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(random(9).min(rest.len()));
            cut.feed(piece);
            rest = after;
        }
        assert_eq!((&cut.sent, &cut.delivered), (&whole.sent, &whole.delivered), "{input:?}");
    }
}

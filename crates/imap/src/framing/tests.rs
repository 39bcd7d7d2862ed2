use proptest::prelude::*;

use super::*;

const SMALL: Limits = Limits { line: 60, literal: 40, command: 100, swallow: 300 };

/// What a consumer sees that accepts messages up to 50 octets; pieces of a message are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Command(String),
    Line(String),
    Continue,
    Head(String, u64, bool),
    Data(Vec<u8>),
    DataEnd,
    Tail(String),
    Refused(Option<String>, Refusal, bool),
    Fatal,
}

fn text(octets: Vec<u8>) -> String {
    octets.into_iter().map(char::from).collect()
}

fn see(framer: &mut Framer, event: Event<'_>, seen: &mut Vec<Seen>) {
    let now = match event {
        Event::Command(command) => {
            if command.ends_with(b"IDLE") {
                framer.expect_line();
            }
            Seen::Command(text(command))
        }
        Event::Line(line) => Seen::Line(text(line)),
        Event::Continue => Seen::Continue,
        Event::AppendHead { text: head, size, synchronizing } => {
            if size <= 50 {
                framer.accept()
            } else {
                framer.refuse()
            }
            Seen::Head(text(head), size, synchronizing)
        }
        Event::AppendData(data) => {
            assert!(!data.is_empty());
            match seen.last_mut() {
                Some(Seen::Data(before)) => return before.extend_from_slice(data),
                _ => Seen::Data(data.to_vec()),
            }
        }
        Event::AppendDataEnd => Seen::DataEnd,
        Event::AppendTail(tail) => Seen::Tail(text(tail)),
        Event::Refused { tag, refusal, in_append } => {
            Seen::Refused(tag.map(|tag| tag.to_string()), refusal, in_append)
        }
        Event::Fatal(_) => Seen::Fatal,
    };
    seen.push(now);
}

fn frame<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Seen> {
    let mut framer = Framer::new(SMALL);
    let mut seen = Vec::new();
    for mut chunk in chunks {
        while let Some(event) = framer.next(&mut chunk) {
            see(&mut framer, event, &mut seen);
            assert!(framer.text.len() <= SMALL.command, "memory is bounded");
        }
    }
    seen
}

fn whole(text: &str) -> Vec<Seen> {
    frame([text.as_bytes()])
}

fn command(text: &str) -> Seen {
    Seen::Command(text.to_owned())
}

#[test]
fn lines_end_with_or_without_a_carriage_return() {
    assert_eq!(whole("a NOOP\r\n\r\n\nb NOOP\nc NO"), [command("a NOOP"), command("b NOOP")]);
}

#[test]
fn small_literals_stay_in_their_command() {
    assert_eq!(
        whole("a LOGIN {3}\na\nb {2+}\r\ncd\r\nb NOOP\r\n"),
        [Seen::Continue, command("a LOGIN {3}\r\na\nb {2+}\r\ncd"), command("b NOOP")]
    );
    assert_eq!(whole("a X {0+}\r\n\r\n"), [command("a X {0+}\r\n")]);
}

#[test]
fn messages_are_handed_on_in_pieces() {
    let seen = whole("a APPEND {5+}\r\nINBOX (\\Seen) {3}\r\nabc {2+}\r\nde\r\nb NOOP\r\n");
    assert_eq!(
        seen,
        [
            Seen::Head("a APPEND {5+}\r\nINBOX (\\Seen) ".to_owned(), 3, true),
            Seen::Data(b"abc".to_vec()),
            Seen::DataEnd,
            Seen::Head(" ".to_owned(), 2, false),
            Seen::Data(b"de".to_vec()),
            Seen::DataEnd,
            Seen::Tail(String::new()),
            command("b NOOP"),
        ]
    );
}

#[test]
fn an_empty_message_is_complete_at_once() {
    assert_eq!(
        whole("a APPEND x {0}\r\n\r\n"),
        [Seen::Head("a APPEND x ".to_owned(), 0, true), Seen::DataEnd, Seen::Tail(String::new())]
    );
}

#[test]
fn a_refused_message_is_swallowed_where_it_comes_unasked() {
    let unasked = format!("a APPEND x {{60+}}\r\n{} {{3+}}\r\n\r\nz x\r\nb NOOP\r\n", "m".repeat(60));
    assert_eq!(whole(&unasked), [Seen::Head("a APPEND x ".to_owned(), 60, false), command("b NOOP")]);
    assert_eq!(
        whole("a APPEND x {60}\r\nb NOOP\r\n"),
        [Seen::Head("a APPEND x ".to_owned(), 60, true), command("b NOOP")]
    );
}

#[test]
fn literals_beyond_the_limit_are_refused_before_their_octets() {
    let refused = Seen::Refused(Some("a".to_owned()), Refusal::LiteralTooLong(40), false);
    assert_eq!(whole("a LOGIN {41}\r\nb NOOP\r\n"), [refused.clone(), command("b NOOP")]);
    let unasked = format!("a LOGIN {{41+}}\r\n{} x\r\nb NOOP\r\n", "x".repeat(41));
    assert_eq!(whole(&unasked), [refused, command("b NOOP")]);
    let seen = whole(&format!("a X {{40+}}\r\n{0} {{40+}}\r\n{0}\r\nb NOOP\r\n", "x".repeat(40)));
    let refused = Seen::Refused(Some("a".to_owned()), Refusal::CommandTooLong(100), false);
    assert_eq!(seen, [refused, command("b NOOP")]);
}

#[test]
fn what_is_too_much_to_swallow_ends_the_connection() {
    let refused = Seen::Refused(Some("a".to_owned()), Refusal::LiteralTooLong(40), false);
    for size in ["301", "99999999999999999999"] {
        assert_eq!(whole(&format!("a LOGIN {{{size}+}}\r\nx")), [refused.clone(), Seen::Fatal]);
    }
    let endless = "x".repeat(1000);
    assert_eq!(whole(&endless), [Seen::Refused(None, Refusal::LineTooLong(60), false), Seen::Fatal]);
}

#[test]
fn over_long_lines_are_refused_and_the_next_command_counts_again() {
    let long = format!("a {}{{3+}}\r\nxyz\r\nb NOOP\r\n", "x".repeat(100));
    assert_eq!(
        whole(&long),
        [Seen::Refused(Some("a".to_owned()), Refusal::LineTooLong(60), false), command("b NOOP")]
    );
}

#[test]
fn nul_octets_are_refused_in_commands_literals_and_messages() {
    let refused =
        |in_append: bool| Seen::Refused((!in_append).then(|| "a".to_owned()), Refusal::NulOctet, in_append);
    assert_eq!(whole("a LOGIN \0 b\r\nb NOOP\r\n"), [refused(false), command("b NOOP")]);
    assert_eq!(whole("a LOGIN {3+}\r\nx\0y z\r\nb NOOP\r\n"), [refused(false), command("b NOOP")]);
    assert_eq!(
        whole("a APPEND x {4}\r\nm\0ss\r\nb NOOP\r\n"),
        [
            Seen::Head("a APPEND x ".to_owned(), 4, true),
            Seen::Data(b"m".to_vec()),
            refused(true),
            command("b NOOP")
        ]
    );
}

/// RFC 9051 section 4.3.1: of a literal8 the consumer decides what NUL octets mean. In most commands there is none.
#[test]
fn a_literal8_hands_on_nul_octets() {
    assert_eq!(
        whole("a APPEND x ~{4}\r\nm\0ss\r\nb NOOP\r\n"),
        [
            Seen::Head("a APPEND x ~".to_owned(), 4, true),
            Seen::Data(b"m\0ss".to_vec()),
            Seen::DataEnd,
            Seen::Tail(String::new()),
            command("b NOOP")
        ]
    );
    let refused = Seen::Refused(Some("a".to_owned()), Refusal::NulOctet, false);
    assert_eq!(whole("a LOGIN ~{3+}\r\nx\0y z\r\nb NOOP\r\n"), [refused, command("b NOOP")]);
    // RFC 5464 section 5
    let set = "a SETMETADATA x (/shared/y ~{3+}\r\nx\0y)";
    assert_eq!(whole(&format!("{set}\r\nb NOOP\r\n")), [command(set), command("b NOOP")]);
    let refused = Seen::Refused(Some("a".to_owned()), Refusal::NulOctet, false);
    let set = set.replace('~', "");
    assert_eq!(whole(&format!("{set}\r\nb NOOP\r\n")), [refused, command("b NOOP")]);
}

#[test]
fn a_line_that_is_asked_for_is_no_command() {
    assert_eq!(
        whole("a IDLE\r\nDONE {3}\r\nb NOOP\r\n"),
        [command("a IDLE"), Seen::Line("DONE {3}".to_owned()), command("b NOOP")]
    );
    let long = format!("a IDLE\r\n{}\r\nb NOOP\r\n", "x".repeat(70));
    assert_eq!(whole(&long), [command("a IDLE"), Seen::Line(String::new()), command("b NOOP")]);
}

/// Texts in which everything that the framer looks for is frequent.
fn traffic() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("a APPEND x ".to_owned()),
        Just("a IDLE\r\n".to_owned()),
        Just("\0".to_owned()),
        (0u32..70).prop_map(|size| format!("{{{size}}}\r\n")),
        (0u32..70).prop_map(|size| format!("{{{size}+}}\r\n")),
        (0u32..70).prop_map(|size| format!(" ~{{{size}}}\r\n")),
        "[a-z \r{}+0-9]{0,50}",
    ];
    prop::collection::vec(piece, 0..25).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_chunking_gives_the_same_events(octets in traffic(), cuts in prop::collection::vec(1usize..40, 1..40)) {
        let expected = frame([octets.as_slice()]);
        prop_assert_eq!(&frame(octets.chunks(1)), &expected);
        let mut rest = octets.as_slice();
        let mut chunks = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at((*cut).min(rest.len()));
            chunks.push(chunk);
            rest = after;
        }
        prop_assert_eq!(&frame(chunks), &expected);
    }

    #[test]
    fn arbitrary_octets_do_not_panic(octets in any::<Vec<u8>>()) {
        frame([octets.as_slice()]);
    }
}

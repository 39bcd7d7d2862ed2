//! PREVIEW (RFC 8970).

use super::client::{Client, MAIL, store};

/// RFC 8970 section 3: a string, never NIL where it can be had, and \Seen is left alone.
#[test]
fn the_first_words_of_a_message() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    assert!(client.send("CAPABILITY").contains(" PREVIEW"));
    client.append("INBOX", "()", MAIL);
    client.append("INBOX", "()", "Content-Type: image/png\r\n\r\npng");
    let html = "Content-Type: text/html; charset=utf-8\r\n\r\n<style>p {}</style><p>caf&eacute;\r\n<b>au</b> lait</p>";
    client.append("INBOX", "()", html);
    for item in ["PREVIEW", "PREVIEW (LAZY)"] {
        assert_eq!(
            client.send(&format!("FETCH 1:3 (UID {item})")),
            concat!(
                "* 1 FETCH (UID 1 PREVIEW \"Hello Joe, do you think we can meet at 3:30 tomorrow?\")\r\n",
                "* 2 FETCH (UID 2 PREVIEW \"\")\r\n",
                "* 3 FETCH (UID 3 PREVIEW {13}\r\ncaf\u{e9} au lait)\r\n",
                "t OK Completed\r\n"
            )
        );
    }
    assert_eq!(client.send("FETCH 1 (FLAGS)"), "* 1 FETCH (FLAGS ())\r\nt OK Completed\r\n");
}

#[test]
fn previews_of_many_messages_come_in_turns() {
    let store = store();
    let mut client = Client::selected(&store, "INBOX");
    let messages = vec![MAIL; 200];
    client.append_all("INBOX", &messages);
    let answer = client.send("UID FETCH 1:* PREVIEW");
    assert_eq!(answer.matches(" PREVIEW \"Hello Joe").count(), 200);
    assert!(client.turns > 10, "{}", client.turns);
}

#[test]
fn damage_is_told_and_the_rest_is_read() {
    let mut client = Client::with_damage("()");
    let answer = client.send("FETCH 1:2 PREVIEW");
    assert_eq!(answer.matches("PREVIEW NIL").count(), 1, "{answer}");
    assert!(answer.contains("do you think") && answer.contains("t NO [CORRUPTION] "), "{answer}");
}

//! NOTIFY (RFC 5465) over real sockets.

use peerpost_imap::shell::Settings;

use super::{Client, Service};
use tokio::net::TcpStream;

async fn logged_in(service: &Service) -> Client<TcpStream> {
    let mut client = service.connect().await;
    client.log_in().await;
    client
}

async fn append(client: &mut Client<TcpStream>, mailbox: &str) {
    let message = "Subject: news\r\n\r\nHello\r\n";
    client.send(&format!("a APPEND {mailbox} {{{}+}}\r\n{message}\r\n", message.len())).await;
    client.until("a OK ").await;
}

/// What one client does another one hears, in the mailbox that it has selected and in others, without a command.
#[tokio::test(flavor = "multi_thread")]
async fn one_client_hears_of_what_another_one_does() {
    let service = Service::start(Settings::default()).await;
    let (mut one, mut other) = (logged_in(&service).await, logged_in(&service).await);
    one.ask("SELECT INBOX").await;
    let set = "NOTIFY SET (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)]) MessageExpunge FlagChange)) (personal (MessageNew MessageExpunge MailboxName SubscriptionChange))";
    assert!(one.ask(set).await.starts_with("t OK "));
    append(&mut other, "INBOX").await;
    one.line_with("* 1 EXISTS").await;
    one.line_with("* 1 FETCH (UID 1 BODY[HEADER.FIELDS (SUBJECT)] {").await;
    assert_eq!(one.until(")").await, "Subject: news\r\n\r\n)\r\n");
    append(&mut other, "Junk").await;
    one.line_with("* STATUS \"Junk\" (MESSAGES 1 UIDNEXT 2 ").await;
    assert!(other.ask("CREATE work").await.contains("t OK "));
    one.line_with("* LIST (\\HasNoChildren) \"/\" \"work\"").await;
    other.ask("SELECT INBOX").await;
    other.ask("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    one.line_with("* 1 FETCH (UID 1 FLAGS (\\Deleted))").await;
    other.ask("EXPUNGE").await;
    one.line_with("* 1 EXPUNGE").await;
    // Commands go on as before, and so do notices during IDLE.
    assert!(one.ask("NOOP").await.contains("t OK "));
    one.send("i IDLE\r\n").await;
    one.line_with("+ ").await;
    append(&mut other, "Junk").await;
    one.line_with("* STATUS \"Junk\" (MESSAGES 2 UIDNEXT 3 ").await;
    one.send("DONE\r\n").await;
    one.line_with("i OK ").await;
    assert!(one.ask("NOTIFY NONE").await.starts_with("t OK "));
    append(&mut other, "Junk").await;
    append(&mut other, "INBOX").await;
    assert_eq!(one.ask("NOOP").await, "t OK Completed\r\n", "nothing was told");
}

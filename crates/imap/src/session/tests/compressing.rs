//! COMPRESS=DEFLATE (RFC 4978), as far as the session has it.

use super::client::{self, Client, store};
use crate::session::ConnectionInfo;

/// RFC 4978 section 3: once only, by the one mechanism, and told as long as it can be had.
#[test]
fn a_connection_is_compressed_once() {
    let store = store();
    let (mut client, greeting) = Client::connect(&store, client::TLS);
    assert!(greeting.contains(" COMPRESS=DEFLATE"), "{greeting}");
    assert!(client.send("COMPRESS DEFLATE").starts_with("t BAD "), "it belongs to the authenticated state");
    client.send("LOGIN alice secret");
    assert!(client.send("COMPRESS LZW").starts_with("t NO [CANNOT] "));
    assert!(client.send("COMPRESS").starts_with("t BAD "));
    assert!(client.send("CAPABILITY").contains(" COMPRESS=DEFLATE"));
    assert_eq!(client.send("COMPRESS deflate"), "t OK Compressing from here on\r\n");
    assert!(!client.send("CAPABILITY").contains("COMPRESS"));
    assert!(client.send("COMPRESS DEFLATE").starts_with("t NO [COMPRESSIONACTIVE] "));
    assert!(client.send("COMPRESS LZW").starts_with("t NO [COMPRESSIONACTIVE] "));
}

/// It is of the connection, not of the login (RFC 8437 section 2), and TLS may not begin below it (RFC 4978 section 3).
#[test]
fn no_tls_begins_on_a_compressed_connection() {
    let store = store();
    let open = ConnectionInfo { tls: false, starttls: true, plaintext_allowed: true };
    let (mut client, greeting) = Client::connect(&store, open);
    assert!(greeting.contains(" STARTTLS "), "{greeting}");
    client.send("LOGIN alice secret");
    client.send("COMPRESS DEFLATE");
    let answer = client.send("UNAUTHENTICATE");
    assert!(!answer.contains("STARTTLS") && !answer.contains("COMPRESS"), "{answer}");
    assert!(client.send("STARTTLS").starts_with("t BAD "));
    client.send("LOGIN alice secret");
    assert!(client.send("COMPRESS DEFLATE").starts_with("t NO [COMPRESSIONACTIVE] "));
}

//! What a client of SCRAM computes (RFC 5802 section 3), from what was said before.

use auth::testing::scram_proof;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::base64::{CHALLENGE, RESPONSE};
use super::matching::Names;

/// `<proof>` at the end of `client-final-message`, of which `said` is what stands before it. From then on `<verifier>` is what a
/// server that knows the password answers.
///
/// # Errors
/// Where what was said before is not the beginning of an exchange.
pub fn proof(said: &[u8], names: &mut Names) -> Result<String, String> {
    let known = |name: &str| names.get(name).map(String::as_str).ok_or("a proof of what was never said");
    let (first, challenge) = (known(RESPONSE)?, known(CHALLENGE)?);
    // client-first-message = gs2-cbind-flag "," [authzid] "," client-first-message-bare
    let bare = first.splitn(3, ',').nth(2).ok_or("no first message of a client")?;
    let said = std::str::from_utf8(said).ok().and_then(|said| said.strip_suffix(",p="));
    let field = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name));
    let salt = field("s=").and_then(|salt| BASE64_STANDARD.decode(salt).ok()).ok_or("no salt")?;
    let rounds = field("i=").and_then(|rounds| rounds.parse().ok()).ok_or("no rounds")?;
    let auth_message = format!("{bare},{challenge},{}", said.ok_or("a proof stands behind p=")?);
    let (proof, verifier) = scram_proof(known("password")?, &salt, rounds, &auth_message);
    names.insert("verifier".to_owned(), BASE64_STANDARD.encode(verifier));
    Ok(BASE64_STANDARD.encode(proof))
}

/// `<header>`: what the client says of the channel in its last message where it binds none, which is how its first one began.
///
/// # Errors
/// Where it has said nothing yet.
pub fn header(names: &Names) -> Result<String, String> {
    let first = names.get(RESPONSE).ok_or("the header of what was never said")?;
    let header: Vec<&str> = first.split_inclusive(',').take(2).collect();
    Ok(BASE64_STANDARD.encode(header.concat()))
}

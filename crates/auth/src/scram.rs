//! The messages of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS on the side of the server (RFC 5802 sections 5 to 7, RFC 7677).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mailstore::password::ScramKeys;

use crate::channel::BindingKind;
use crate::exchange::Failure;
use crate::mechanism::{Mechanism, Offer};

const MALFORMED: Failure = Failure::Malformed("The response is not one of SCRAM");

/// What a client said first: who it is, and how it binds the exchange to the channel.
#[derive(Debug)]
pub(crate) struct ClientFirst {
    gs2_header: String,
    bare: String,
    client_nonce: String,
    name: String,
    binding: Option<BindingKind>,
}

impl ClientFirst {
    /// `client-first-message = gs2-header client-first-message-bare` (RFC 5802 section 7).
    pub(crate) fn parse(message: &[u8], mechanism: Mechanism, offer: Offer) -> Result<Self, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| MALFORMED)?;
        let (flag, rest) = text.split_once(',').ok_or(MALFORMED)?;
        let (acting_for, bare) = rest.split_once(',').ok_or(MALFORMED)?;
        let gs2_header = text.get(..text.len() - bare.len()).ok_or(MALFORMED)?.to_owned();
        let binding = binding(flag, mechanism, offer)?;
        // client-first-message-bare = [reserved-mext ","] username "," nonce ["," extensions]; "m=" is no name.
        let mut attributes = bare.split(',');
        let name = attributes.next().and_then(|part| part.strip_prefix("n=")).ok_or(MALFORMED)?;
        let nonce = attributes.next().and_then(|part| part.strip_prefix("r=")).ok_or(MALFORMED)?;
        let name = saslname(name).ok_or(MALFORMED)?;
        is_printable(nonce).then_some(()).ok_or(MALFORMED)?;
        match acting_for {
            "" => {}
            other => {
                let other = other.strip_prefix("a=").and_then(saslname).ok_or(MALFORMED)?;
                (other == name).then_some(()).ok_or(Failure::ForSomebodyElse)?;
            }
        }
        let (bare, client_nonce) = (bare.to_owned(), nonce.to_owned());
        Ok(ClientFirst { gs2_header, bare, client_nonce, name, binding })
    }

    /// The name that the client gave.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The channel binding that the exchange needs.
    pub(crate) fn binding(&self) -> Option<BindingKind> {
        self.binding
    }

    /// `server-first-message = nonce "," salt "," iteration-count`. The part of the nonce that is the server's is printable
    /// ASCII without a comma, and never the same twice. `bound` are the octets of the channel binding, if one is needed.
    pub(crate) fn challenge(
        self,
        keys: ScramKeys,
        server_nonce: &str,
        bound: &[u8],
    ) -> (ServerFirst, String) {
        let nonce = format!("{}{server_nonce}", self.client_nonce);
        let (salt, iterations) = (BASE64_STANDARD.encode(keys.salt), keys.iterations);
        let message = format!("r={nonce},s={salt},i={iterations}");
        // cbind-input = gs2-header [ cbind-data ]
        let channel = BASE64_STANDARD.encode([self.gs2_header.as_bytes(), bound].concat());
        let first_messages = format!("{},{message}", self.bare);
        (ServerFirst { keys, name: self.name, nonce, channel, first_messages }, message)
    }
}

/// `gs2-cbind-flag = ("p=" cb-name) / "n" / "y"` (RFC 5802 section 6).
fn binding(flag: &str, mechanism: Mechanism, offer: Offer) -> Result<Option<BindingKind>, Failure> {
    let plus = mechanism == Mechanism::ScramSha256Plus;
    match (flag, flag.strip_prefix("p=")) {
        ("n", _) if !plus => Ok(None),
        // The client can bind and was not offered it. If we did offer it, somebody between us took it out of the list.
        ("y", _) if !plus && offer.has(Mechanism::ScramSha256Plus) => {
            Err(Failure::Refused("Channel binding is offered here, but the client was told that it is not"))
        }
        ("y", _) if !plus => Ok(None),
        (_, Some(name)) if plus => match BindingKind::named(name) {
            Some(kind) => Ok(Some(kind)),
            None => Err(Failure::Refused("This channel binding is not known here")),
        },
        ("n" | "y", _) => Err(Failure::Refused("This mechanism needs a channel binding")),
        (_, Some(_)) => Err(Failure::Refused("Channel binding needs the mechanism SCRAM-SHA-256-PLUS")),
        _ => Err(MALFORMED),
    }
}

/// `saslname = 1*(value-safe-char / "=2C" / "=3D")`: any UTF-8 but NUL, `=` and the comma.
pub(crate) fn saslname(text: &str) -> Option<String> {
    let mut pieces = text.split('=');
    let mut name = pieces.next()?.to_owned();
    for piece in pieces {
        match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => name.extend([",", rest]),
            (_, Some(rest)) => name.extend(["=", rest]),
            _ => return None,
        }
    }
    (!name.is_empty() && !name.contains('\0')).then_some(name)
}

/// `printable = %x21-2B / %x2D-7E`: the comma is none, but no comma is left where this is asked.
fn is_printable(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|octet| octet.is_ascii_graphic())
}

/// What the server said first, and what it knows.
#[derive(Debug)]
pub(crate) struct ServerFirst {
    keys: ScramKeys,
    name: String,
    nonce: String,
    /// What the client has to say of the channel, in base64.
    channel: String,
    /// `client-first-message-bare "," server-first-message`
    first_messages: String,
}

impl ServerFirst {
    /// `client-final-message = channel-binding "," nonce ["," extensions] "," proof`. Gives the name that was proven and
    /// `server-final-message`.
    pub(crate) fn verify(self, message: &[u8]) -> Result<(String, String), Failure> {
        let text = std::str::from_utf8(message).map_err(|_| MALFORMED)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(MALFORMED)?;
        let mut attributes = without_proof.split(',');
        let channel = attributes.next().and_then(|part| part.strip_prefix("c=")).ok_or(MALFORMED)?;
        let nonce = attributes.next().and_then(|part| part.strip_prefix("r=")).ok_or(MALFORMED)?;
        let proof = BASE64_STANDARD.decode(proof).ok().and_then(|proof| <[u8; 32]>::try_from(proof).ok());
        let proof = proof.ok_or(MALFORMED)?;
        let auth_message = format!("{},{without_proof}", self.first_messages);
        let proven = self.keys.accepts(auth_message.as_bytes(), &proof);
        if !proven || nonce != self.nonce || channel != self.channel {
            return Err(Failure::Wrong);
        }
        let signature = self.keys.server_signature(auth_message.as_bytes());
        Ok((self.name, format!("v={}", BASE64_STANDARD.encode(signature))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::ScramClient;

    const TLS: Offer = Offer { tls: true, tokens: false };
    const CLEAR: Offer = Offer { tls: false, tokens: false };

    fn first(text: &str, mechanism: Mechanism, offer: Offer) -> Result<ClientFirst, Failure> {
        ClientFirst::parse(text.as_bytes(), mechanism, offer)
    }

    fn keys() -> ScramKeys {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        ScramKeys::derive("pencil", salt.try_into().expect("16 octets"), 4096).expect("keys")
    }

    /// RFC 7677 section 3.
    #[test]
    fn the_example_of_the_rfc() {
        let said = first("n,,n=user,r=rOprNGfwEbeRWgbNEkqO", Mechanism::ScramSha256, TLS).expect("good");
        assert_eq!((said.name(), said.binding()), ("user", None));
        let (server, challenge) = said.challenge(keys(), "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", b"");
        assert_eq!(
            challenge,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let verified = server.verify(
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
              p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        );
        let signature = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_owned();
        assert_eq!(verified, Ok(("user".to_owned(), signature)));
    }

    #[test]
    fn an_answer_to_another_question_is_wrong() {
        for changed in [
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k1,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "c=eSws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        ] {
            let said = first("n,,n=user,r=rOprNGfwEbeRWgbNEkqO", Mechanism::ScramSha256, TLS).expect("good");
            let (server, _) = said.challenge(keys(), "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", b"");
            assert_eq!(server.verify(changed.as_bytes()), Err(Failure::Wrong), "{changed}");
        }
    }

    /// RFC 5802 section 6. A client that says `y` to a server that offers -PLUS was lied to.
    #[test]
    fn the_flag_fits_the_mechanism_or_somebody_is_between() {
        use Mechanism::{ScramSha256, ScramSha256Plus};
        let refused = |flag: &str, mechanism, offer| {
            matches!(first(&format!("{flag},,n=u,r=x"), mechanism, offer), Err(Failure::Refused(_)))
        };
        assert!(!refused("n", ScramSha256, TLS) && !refused("y", ScramSha256, CLEAR));
        assert!(refused("y", ScramSha256, TLS));
        assert!(refused("n", ScramSha256Plus, TLS) && refused("y", ScramSha256Plus, TLS));
        assert!(!refused("p=tls-exporter", ScramSha256Plus, TLS));
        assert!(refused("p=tls-exporter", ScramSha256, TLS) && refused("p=tls-unique", ScramSha256Plus, TLS));
    }

    /// The exchange of one channel is worth nothing on another.
    #[test]
    fn the_channel_is_part_of_the_proof() {
        let decoded = |text: String| BASE64_STANDARD.decode(text).expect("base64");
        for (here, there, proven) in [(b"one", b"one", true), (b"one", b"two", false)] {
            let mut client = ScramClient::new("p=tls-exporter,,", there, "user", "pencil");
            let said = ClientFirst::parse(&decoded(client.first()), Mechanism::ScramSha256Plus, TLS);
            let said = said.expect("good");
            assert_eq!(said.binding(), Some(BindingKind::Exporter));
            let (server, challenge) = said.challenge(keys(), "def", here);
            let last = client.last(&BASE64_STANDARD.encode(challenge));
            let verified = server.verify(&decoded(last));
            assert_eq!(verified.is_ok(), proven);
            if let Ok((_, verifier)) = verified {
                assert!(client.is_convinced_by(&BASE64_STANDARD.encode(verifier)));
            }
        }
    }

    #[test]
    fn names_are_unescaped_and_nobody_acts_for_others() {
        let name = |text: &str| first(text, Mechanism::ScramSha256, TLS).map(|said| said.name().to_owned());
        assert_eq!(name("n,,n=a=2Cb=3Dc=3D,r=x"), Ok("a,b=c=".to_owned()));
        assert_eq!(name("n,a=alice,n=alice,r=x,ext=1"), Ok("alice".to_owned()));
        assert_eq!(name("n,a=bob,n=alice,r=x"), Err(Failure::ForSomebodyElse));
        for wrong in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,r=x",
            "n,,n=,r=x",
            "n,,n=a",
            "n,,n=a,r=",
            "n,,n=a,r=\u{7f}",
            "n,,n=a=2c,r=x",
            "n,,n=a=,r=x",
            "n,,m=1,n=a,r=x",
            "n,b=c,n=a,r=x",
            "x,,n=a,r=x",
            "n,,n=a\0,r=x",
            "n,,n=a,r=\u{e9}",
        ] {
            assert!(matches!(name(wrong), Err(Failure::Malformed(_))), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_client_says(
            one in prop::collection::vec(any::<u8>(), 0..60),
            two in "[ncrpa=,y/+A-Z]{0,60}",
        ) {
            for offer in [TLS, CLEAR] {
                let _ = ClientFirst::parse(&one, Mechanism::ScramSha256, offer);
                let _ = ClientFirst::parse(two.as_bytes(), Mechanism::ScramSha256Plus, offer);
            }
            for last in [&one, two.as_bytes()] {
                let said = first("n,,n=user,r=x", Mechanism::ScramSha256, CLEAR).expect("good");
                prop_assert!(said.challenge(ScramKeys::decoy(b"", "", 4096), "y", b"").0.verify(last).is_err());
            }
        }
    }
}

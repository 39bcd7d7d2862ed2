//! Which mechanisms there are, and which of them a connection is offered.

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM-SHA-256-PLUS (RFC 7677), bound to the TLS connection.
    ScramSha256Plus,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// OAUTHBEARER (RFC 7628).
    OAuthBearer,
    /// XOAUTH2, the same for clients from before it.
    XOAuth2,
    /// PLAIN (RFC 4616).
    Plain,
}

impl Mechanism {
    /// Every mechanism, the one to be preferred first.
    const ALL: [Mechanism; 5] = [
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha256,
        Mechanism::OAuthBearer,
        Mechanism::XOAuth2,
        Mechanism::Plain,
    ];

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::OAuthBearer => "OAUTHBEARER",
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::Plain => "PLAIN",
        }
    }
}

/// What decides which mechanisms a connection is offered. A connection over which no password may go is offered none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Whether TLS protects the connection.
    pub tls: bool,
    /// Whether an issuer of tokens is configured.
    pub tokens: bool,
}

impl Offer {
    /// The mechanisms, the one to be preferred first.
    pub fn mechanisms(self) -> impl Iterator<Item = Mechanism> {
        Mechanism::ALL.into_iter().filter(move |mechanism| self.has(*mechanism))
    }

    /// The mechanism of this name, in any case of letters, where it is offered.
    pub fn find(self, name: &str) -> Option<Mechanism> {
        self.mechanisms().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// Whether a mechanism is offered.
    pub fn has(self, mechanism: Mechanism) -> bool {
        match mechanism {
            Mechanism::ScramSha256Plus => self.tls,
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => self.tokens,
            Mechanism::ScramSha256 | Mechanism::Plain => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bound_to_tls_is_offered_in_tls() {
        let offer = |tls, tokens| Offer { tls, tokens };
        let names = |offer: Offer| offer.mechanisms().map(Mechanism::name).collect::<Vec<_>>();
        assert_eq!(names(offer(true, false)), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"]);
        assert_eq!(names(offer(false, true)), ["SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN"]);
        assert_eq!(offer(false, true).find("scram-sha-256-plus"), None);
        assert_eq!(offer(true, false).find("Scram-Sha-256"), Some(Mechanism::ScramSha256));
        assert_eq!(offer(true, false).find("XOAUTH2"), None);
    }
}

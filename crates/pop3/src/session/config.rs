//! What an operator decides, and what the shell knows of a connection.

/// What a client may do and how long it may take over it.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The name of the node, told in the greeting.
    pub node: String,
    /// Whether an issuer of tokens is configured.
    pub tokens: bool,
    /// How long a client may stay silent before it has logged in, in milliseconds; at least 10 minutes (RFC 1939 section 3 makes
    /// no difference between the states).
    pub login_timeout: u64,
    /// How long a client may stay silent afterwards, in milliseconds; at least 10 minutes (RFC 1939 section 3).
    pub silence_timeout: u64,
    /// How long the first wrong password holds up the connection, in milliseconds; it doubles with each further one.
    pub wrong_password_delay: u64,
}

impl Default for SessionConfig {
    fn default() -> Self {
        SessionConfig {
            node: "peerpost".to_owned(),
            tokens: false,
            login_timeout: 10 * 60 * 1000,
            silence_timeout: 30 * 60 * 1000,
            wrong_password_delay: 1000,
        }
    }
}

/// What the shell knows of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Whether TLS protects it.
    pub tls: bool,
    /// Whether STLS can be had on it.
    pub stls: bool,
    /// Whether passwords may cross it without TLS.
    pub plaintext_allowed: bool,
}

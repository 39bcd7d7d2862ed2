//! What an operator decides, and what the shell knows of a connection.

/// What a client may do and how long it may take over it.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The name of the node, told in the greeting.
    pub node: String,
    /// The most octets of one appended message (RFC 7889).
    pub append_limit: u64,
    /// How many messages one command changes at most (RFC 9738); 1 at least.
    pub message_limit: u32,
    /// Whether an issuer of tokens is configured.
    pub tokens: bool,
    /// How long a client may stay silent before it has logged in, in milliseconds.
    pub login_timeout: u64,
    /// How long a client may stay silent afterwards, in milliseconds; at least 30 minutes (RFC 9051 section 5.4).
    pub silence_timeout: u64,
    /// How often a client in IDLE hears that the connection lives, in milliseconds.
    pub idle_notice: u64,
    /// How long the first wrong password holds up the connection, in milliseconds; it doubles with each further one.
    pub wrong_password_delay: u64,
}

impl Default for SessionConfig {
    fn default() -> Self {
        SessionConfig {
            node: "peerpost".to_owned(),
            append_limit: 64 * 1024 * 1024,
            message_limit: 100_000,
            tokens: false,
            login_timeout: 60 * 1000,
            silence_timeout: 30 * 60 * 1000,
            idle_notice: 2 * 60 * 1000,
            wrong_password_delay: 1000,
        }
    }
}

/// What the shell knows of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Whether TLS protects it.
    pub tls: bool,
    /// Whether STARTTLS can be had on it.
    pub starttls: bool,
    /// Whether passwords may cross it without TLS.
    pub plaintext_allowed: bool,
}

//! Answers what an [`crate::exchange::Exchange`] asks: out of the mail store, the system's entropy and the TLS connection.
#![allow(clippy::disallowed_methods, reason = "shell: nonces come from the system")]

use std::fmt;
use std::sync::Arc;

use mailstore::Mailstore;
use mailstore::request::{Authenticated, RequestError};
use rustls::ProtocolVersion;
use rustls::server::ServerConnection;

use crate::bearer::Hint;
use crate::channel::{ChannelBindings, EXPORTER_LABEL, EndPoint};
use crate::exchange::{Answer, Question};
use crate::oauth::policy::TokenError;
use crate::oauth::shell::Issuer;

/// Sixteen octets that nobody can foretell; `None` where the system has none.
pub type Entropy = Arc<dyn Fn() -> Option<[u8; 16]> + Send + Sync>;

/// What an operator decides about logins, and what they need.
#[derive(Clone)]
pub struct Settings {
    /// What TLS clients are shown, as a channel binding.
    pub end_point: Option<EndPoint>,
    /// Where nonces come from.
    pub entropy: Entropy,
    /// Who issues tokens, where somebody does.
    pub issuer: Option<Arc<Issuer>>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { end_point: None, entropy: Arc::new(from_system), issuer: None }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("end_point", &self.end_point)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

fn from_system() -> Option<[u8; 16]> {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).ok().map(|()| octets)
}

/// Who knows the accounts. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    store: Mailstore,
    settings: Settings,
}

impl Authenticator {
    /// One that asks this store.
    pub fn new(store: Mailstore, settings: Settings) -> Self {
        Authenticator { store, settings }
    }

    /// The channel bindings of a TLS connection whose handshake is done.
    pub fn bindings(&self, connection: &ServerConnection) -> ChannelBindings {
        let new = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let exported = || connection.export_keying_material([0; 32], EXPORTER_LABEL, Some(b"")).ok();
        let exporter = if new { exported() } else { None };
        ChannelBindings { exporter, end_point: self.settings.end_point.clone() }
    }

    /// Answers a question of an exchange over a connection with these bindings.
    ///
    /// # Errors
    /// `WrongPassword` where the account is not the client's; anything else where that could not be found out.
    pub async fn answer(
        &self,
        question: Question,
        bindings: &ChannelBindings,
    ) -> Result<Answer, RequestError> {
        match question {
            Question::Password { name, password } => {
                self.store.authenticate(&name, &password).await.map(Answer::LoggedIn)
            }
            Question::Keys { name, binding } => {
                let entropy = (self.settings.entropy)();
                let nonce = entropy.ok_or_else(|| RequestError::Storage("no entropy".to_owned()))?;
                let bound = binding.and_then(|kind| bindings.octets(kind));
                Ok(Answer::Keys { keys: self.store.scram_keys(&name), nonce, bound })
            }
            Question::Token { token, name } => self.check_token(&token.0, name.as_deref()).await,
            Question::LogIn { name } => self.log_in(&name).await.map(Answer::LoggedIn),
        }
    }

    /// A token is worth as much as the account that it names; whoever says whose it is has to say the same.
    async fn check_token(&self, token: &str, said: Option<&str>) -> Result<Answer, RequestError> {
        let Some(issuer) = &self.settings.issuer else {
            return Ok(Answer::TokenRefused { error: TokenError::Unavailable, hint: Hint::default() });
        };
        let refused = |error| {
            tracing::info!(account = said, %error, "a token was refused");
            Ok(Answer::TokenRefused { error, hint: issuer.policy().hint() })
        };
        let name = match issuer.check(token).await {
            Ok(name) => name,
            Err(error) => return refused(error),
        };
        if said.is_some_and(|said| !said.eq_ignore_ascii_case(&name)) {
            return refused(TokenError::Invalid("it is somebody else's"));
        }
        match self.log_in(&name).await {
            Ok(authenticated) => Ok(Answer::LoggedIn(authenticated)),
            Err(RequestError::WrongPassword) => refused(TokenError::Invalid("there is no such account")),
            Err(error) => Err(error),
        }
    }

    async fn log_in(&self, name: &str) -> Result<Authenticated, RequestError> {
        let account = self.store.account(name).ok_or(RequestError::WrongPassword)?;
        self.store.log_in(account).await
    }
}

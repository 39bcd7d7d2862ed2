//! The protocols that mail clients and MTAs speak, bound and served.

use std::sync::Arc;
use std::time::Duration;

use auth::oauth::shell::Issuer;
use mailstore::Mailstore;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::tls::Certificate;
use crate::config::{Config, LmtpAddress};
use crate::failure::Failure;

/// Listeners that hold their addresses.
pub struct MailListeners {
    imap: Option<imap::shell::Listeners>,
    pop3: Option<pop3::shell::Listeners>,
    lmtp: Option<lmtp::shell::Listeners>,
    tls: Option<Certificate>,
    issuer: Option<Arc<Issuer>>,
}

impl MailListeners {
    /// Listens on every address of the configuration.
    pub async fn bind(config: &Config) -> Result<Self, Failure> {
        let tls = config.tls.as_ref().map(super::tls::load).transpose()?;
        let issuer = config.auth.oauth.as_ref().map(super::tokens::issuer).transpose()?;
        let imap = match &config.imap {
            Some(imap) => Some(imap::shell::Listeners::bind(&imap.listen, &imap.listen_tls).await?),
            None => None,
        };
        let pop3 = match &config.pop3 {
            Some(pop3) => Some(pop3::shell::Listeners::bind(&pop3.listen, &pop3.listen_tls).await?),
            None => None,
        };
        let lmtp = match &config.lmtp {
            Some(lmtp) => {
                let addresses: Vec<_> = lmtp.listen.iter().map(lmtp_address).collect();
                Some(lmtp::shell::Listeners::bind(&addresses).await?)
            }
            None => None,
        };
        Ok(MailListeners { imap, pop3, lmtp, tls, issuer })
    }

    /// Serves all of them until `shutdown` turns true.
    pub fn serve(
        self,
        store: &Mailstore,
        config: &Config,
        shutdown: &watch::Receiver<bool>,
        tasks: &mut JoinSet<()>,
    ) {
        let auth = auth::shell::Settings {
            end_point: self.tls.as_ref().and_then(|tls| tls.end_point.clone()),
            issuer: self.issuer,
            ..auth::shell::Settings::default()
        };
        let tls = self.tls.map(|tls| tls.server);
        if let Some(listeners) = self.imap {
            let settings = imap_settings(config, auth.clone());
            tasks.spawn(listeners.serve(store.clone(), tls.clone(), settings, shutdown.clone()));
        }
        if let Some(listeners) = self.pop3 {
            let settings = pop3_settings(config, auth);
            tasks.spawn(listeners.serve(store.clone(), tls, settings, shutdown.clone()));
        }
        if let Some(listeners) = self.lmtp {
            let settings = lmtp::Settings {
                host_name: config.node.name.as_str().to_owned(),
                largest_message: config.limits.append_bytes,
            };
            tasks.spawn(listeners.serve(store.clone(), settings, shutdown.clone()));
        }
    }
}

fn lmtp_address(address: &LmtpAddress) -> lmtp::shell::ListenAddress {
    match address {
        LmtpAddress::Tcp(address) => lmtp::shell::ListenAddress::Tcp(*address),
        LmtpAddress::Unix(path) => lmtp::shell::ListenAddress::Unix(path.clone()),
    }
}

fn imap_settings(config: &Config, auth: auth::shell::Settings) -> imap::shell::Settings {
    let session = imap::session::SessionConfig {
        node: config.node.name.as_str().to_owned(),
        append_limit: config.limits.append_bytes,
        message_limit: config.limits.command_messages,
        tokens: config.auth.oauth.is_some(),
        silence_timeout: Duration::from_secs(config.limits.idle_seconds).as_millis() as u64,
        ..imap::session::SessionConfig::default()
    };
    let mut settings = imap::shell::Settings {
        session: Arc::new(session),
        auth,
        plaintext: config.auth.plaintext,
        connections: config.limits.sessions,
        connections_per_address: config.limits.sessions,
        ..imap::shell::Settings::default()
    };
    settings.framing = imap::framing::Limits::for_line(config.limits.line_bytes);
    settings
}

fn pop3_settings(config: &Config, auth: auth::shell::Settings) -> pop3::shell::Settings {
    let session = pop3::session::SessionConfig {
        node: config.node.name.as_str().to_owned(),
        tokens: config.auth.oauth.is_some(),
        silence_timeout: Duration::from_secs(config.limits.idle_seconds).as_millis() as u64,
        ..pop3::session::SessionConfig::default()
    };
    pop3::shell::Settings {
        session: Arc::new(session),
        auth,
        plaintext: config.auth.plaintext,
        connections: config.limits.sessions,
        ..pop3::shell::Settings::default()
    }
}

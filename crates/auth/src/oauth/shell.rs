//! Asks the issuer: over HTTP, on threads of its own, never for long.
#![allow(clippy::disallowed_methods, reason = "shell: reads the clock, and waits for the issuer on threads")]

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::cache::Cache;
use super::introspection;
use super::jwt::KeySet;
use super::keys::Keys;
use super::policy::{Bearer, Policy, Source, TokenError};

/// How long a client waits for what the issuer says of its token.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long a request may take: its thread ends before its client is told so.
const LONGEST_REQUEST: Duration = Duration::from_millis(4_500);
/// The most requests at one time, each with a thread.
const MOST_REQUESTS: usize = 8;
/// The largest answer that is read, in octets.
const LARGEST_ANSWER: u64 = 256 * 1024;

/// Where it is told what a token is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Means {
    /// At the issuer (RFC 7662).
    Introspection {
        /// The endpoint.
        url: String,
        /// Who asks, as an Authorization header: see [`introspection::authorization`].
        authorization: Authorization,
    },
    /// In the token, signed with keys that are here.
    KeyFile(PathBuf),
    /// In the token, signed with keys that the issuer shows.
    KeyUrl(String),
}

/// A secret of ours.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization(pub String);

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(..)")
    }
}

/// The issuer of tokens.
pub struct Issuer {
    policy: Policy,
    means: Means,
    agent: Agent,
    requests: Arc<Semaphore>,
    cache: Mutex<Cache>,
    keys: tokio::sync::Mutex<Keys>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("policy", &self.policy)
            .field("means", &self.means)
            .finish_non_exhaustive()
    }
}

impl Issuer {
    /// An issuer. Its certificate has to be signed by one of `roots`.
    pub fn new(policy: Policy, means: Means, roots: Vec<CertificateDer<'static>>) -> Self {
        let roots: Vec<Certificate<'static>> =
            roots.iter().map(|root| Certificate::from_der(root.as_ref()).to_owned()).collect();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(LONGEST_REQUEST))
            .http_status_as_error(true)
            // Neither token nor secret goes to whom the issuer points at.
            .max_redirects(0)
            .user_agent(concat!("Peerpost/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Issuer {
            policy,
            means,
            agent,
            requests: Arc::new(Semaphore::new(MOST_REQUESTS)),
            cache: Mutex::default(),
            keys: tokio::sync::Mutex::default(),
        }
    }

    /// What a token has to say.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whose token it is; an answer comes within [`PATIENCE`].
    ///
    /// # Errors
    /// `Unavailable` where it could not be found out.
    pub async fn check(&self, token: &str) -> Result<String, TokenError> {
        let checked = timeout(PATIENCE, async {
            match &self.means {
                Means::Introspection { url, authorization } => {
                    self.introspect(url, authorization, token).await
                }
                Means::KeyFile(_) | Means::KeyUrl(_) => self.verify(token).await,
            }
        });
        let bearer = checked.await.unwrap_or(Err(TokenError::Unavailable))?;
        Ok(bearer.name)
    }

    async fn introspect(
        &self,
        url: &str,
        authorization: &Authorization,
        token: &str,
    ) -> Result<Bearer, TokenError> {
        let known = self.cache.lock().unwrap_or_else(PoisonError::into_inner).find(token, now()).cloned();
        if let Some(bearer) = known {
            return Ok(bearer);
        }
        let (agent, url, authorization) = (self.agent.clone(), url.to_owned(), authorization.0.clone());
        let body = introspection::request(token);
        let response = self.fetch(move || post(&agent, &url, &authorization, body)).await?;
        let claims = introspection::claims(&response)?;
        let bearer = self.policy.judge(&claims, Source::Introspected, now())?;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.keep(token, bearer.clone(), now());
        Ok(bearer)
    }

    async fn verify(&self, token: &str) -> Result<Bearer, TokenError> {
        let claims = match self.known_keys(false).await?.claims(token) {
            Some(claims) => claims?,
            None => {
                let unknown = TokenError::Invalid("it is signed with a key that the issuer does not show");
                self.known_keys(true).await?.claims(token).ok_or(unknown)??
            }
        };
        self.policy.judge(&claims, Source::Signed, now())
    }

    /// The keys; `renew` where there should be another one among them. One fetches, the others wait for it.
    async fn known_keys(&self, renew: bool) -> Result<Arc<KeySet>, TokenError> {
        let mut keys = self.keys.lock().await;
        if keys.are_due(Instant::now(), renew) {
            keys.try_at(Instant::now());
            match self.fetch_keys().await {
                Ok(set) => keys.keep(Instant::now(), set),
                Err(error) => tracing::debug!(%error, "the keys stay as they are"),
            }
        }
        keys.usable(Instant::now()).ok_or(TokenError::Unavailable)
    }

    async fn fetch_keys(&self) -> Result<KeySet, TokenError> {
        let octets = match &self.means {
            Means::KeyFile(file) => {
                let file = file.clone();
                self.fetch(move || read(&file)).await?
            }
            Means::KeyUrl(url) => {
                let (agent, url) = (self.agent.clone(), url.clone());
                self.fetch(move || get(&agent, &url)).await?
            }
            Means::Introspection { .. } => return Err(TokenError::Unavailable),
        };
        KeySet::parse(&octets).ok_or_else(|| {
            tracing::warn!(issuer = self.policy.issuer, "the issuer's keys cannot be used");
            TokenError::Unavailable
        })
    }

    /// Runs a request on a thread of its own.
    async fn fetch(
        &self,
        request: impl FnOnce() -> Result<Vec<u8>, String> + Send + 'static,
    ) -> Result<Vec<u8>, TokenError> {
        let permit = Arc::clone(&self.requests).acquire_owned().await;
        let permit = permit.map_err(|_| TokenError::Unavailable)?;
        let (sender, receiver) = oneshot::channel();
        std::thread::spawn(move || {
            // Whoever asked may have given up meanwhile.
            let _ = sender.send(request());
            drop(permit);
        });
        let fetched = receiver.await.unwrap_or_else(|_| Err("the thread ended".to_owned()));
        fetched.map_err(|error| {
            tracing::warn!(issuer = self.policy.issuer, error, "the issuer of tokens cannot be asked");
            TokenError::Unavailable
        })
    }
}

fn post(agent: &Agent, url: &str, authorization: &str, body: String) -> Result<Vec<u8>, String> {
    let request = agent
        .post(url)
        .header("Authorization", authorization)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Accept", "application/json");
    content(request.send(body))
}

fn get(agent: &Agent, url: &str) -> Result<Vec<u8>, String> {
    content(agent.get(url).header("Accept", "application/json").call())
}

fn content(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Vec<u8>, String> {
    let mut response = response.map_err(|error| error.to_string())?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("its answer is {status}"));
    }
    let body = response.body_mut().with_config().limit(LARGEST_ANSWER);
    body.read_to_vec().map_err(|error| error.to_string())
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let opened = File::open(file).and_then(|file| file.take(LARGEST_ANSWER).read_to_end(&mut octets));
    opened.map(|_| octets).map_err(|error| format!("{}: {error}", file.display()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

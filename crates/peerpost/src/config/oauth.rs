//! `[auth.oauth]`: whose tokens are taken in place of passwords.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// `[auth.oauth]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth {
    /// Who issues the tokens, as their claim `iss` says it, octet by octet.
    pub issuer: String,
    /// For whom they have to be (`aud`). Needed with signed tokens.
    pub audience: Option<String>,
    /// What they have to allow (`scope`): words with spaces between them, all of which are wanted.
    #[serde(default)]
    pub scope: String,
    /// The claim that is the name of the account. It has to be one that users cannot choose.
    pub username_claim: String,
    /// The issuer is asked here what a token is (RFC 7662).
    pub introspection_url: Option<String>,
    /// As whom it is asked.
    pub client_id: Option<String>,
    /// The file whose first line is the secret of `client_id`.
    pub client_secret_file: Option<PathBuf>,
    /// Tokens are signed, and the keys are here (RFC 7517).
    pub jwks_url: Option<String>,
    /// Tokens are signed, and the keys are in this file.
    pub jwks_file: Option<PathBuf>,
    /// Who has to have signed the issuer's certificate, in PEM. Default: whom the system trusts.
    pub ca_certificate: Option<PathBuf>,
    /// Where clients learn how to get a token; told to those that are refused.
    pub openid_configuration: Option<String>,
}

impl Oauth {
    /// What no single value can know: the key that is wrong, and why.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let given = [
            ("introspection_url", self.introspection_url.is_some()),
            ("jwks_url", self.jwks_url.is_some()),
            ("jwks_file", self.jwks_file.is_some()),
        ];
        let means: Vec<&'static str> =
            given.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
        if means.len() != 1 {
            let message = format!(
                "[auth.oauth] needs one of `introspection_url`, `jwks_url` and `jwks_file`, and has {}",
                means.len()
            );
            return Err((means.last().copied().unwrap_or("issuer"), message));
        }
        for (key, text) in [("issuer", &self.issuer), ("username_claim", &self.username_claim)] {
            if text.is_empty() {
                return Err((key, format!("`{key}` in [auth.oauth] is empty")));
            }
        }
        let secret = self.client_id.is_some() && self.client_secret_file.is_some();
        if self.introspection_url.is_some() && !secret {
            let message =
                "`introspection_url` needs `client_id` and `client_secret_file`: issuers tell nobody else";
            return Err(("introspection_url", message.to_owned()));
        }
        if self.introspection_url.is_none() && self.audience.as_ref().is_none_or(String::is_empty) {
            let message =
                "signed tokens need `audience`: else those that were issued for other services are taken";
            return Err((means[0], message.to_owned()));
        }
        for (key, url) in [("introspection_url", &self.introspection_url), ("jwks_url", &self.jwks_url)] {
            if url.as_ref().is_some_and(|url| !is_protected(url)) {
                let message = format!(
                    "`{key}` has to begin with https://; http:// is for an issuer on this machine (127.0.0.1)"
                );
                return Err((key, message));
            }
        }
        Ok(())
    }

    pub(super) fn resolve_paths(&mut self, directory: &Path) {
        let paths = [&mut self.client_secret_file, &mut self.jwks_file, &mut self.ca_certificate];
        for path in paths.into_iter().flatten() {
            *path = directory.join(&*path);
        }
    }
}

/// Whether nobody can listen: TLS, or an address of this machine.
fn is_protected(url: &str) -> bool {
    if let Some(rest) = url.strip_prefix("https://") {
        return !rest.is_empty() && !rest.starts_with('/');
    }
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => host,
        _ => authority,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_over_tls_or_nowhere() {
        for good in [
            "https://id.example.com/introspect",
            "http://127.0.0.1:8080/x",
            "http://[::1]:8080/x",
            "http://127.0.0.1",
        ] {
            assert!(is_protected(good), "{good}");
        }
        for wrong in [
            "",
            "https://",
            "https:///x",
            "http://id.example.com/x",
            "http://localhost.evil.example/",
            "ftp://127.0.0.1/",
            "http://127.0.0.1@evil.example/",
            "http://127.0.0.1:80@evil.example/",
            "http://127.0.0.1.evil.example/",
        ] {
            assert!(!is_protected(wrong), "{wrong}");
        }
    }
}

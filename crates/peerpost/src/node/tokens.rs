//! The issuer of tokens that the configuration names.

use std::fs;
use std::sync::Arc;

use auth::oauth::introspection;
use auth::oauth::policy::Policy;
use auth::oauth::shell::{Authorization, Issuer, Means};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::config::Oauth;
use crate::failure::Failure;

/// The issuer, with its files read. It is not asked anything yet: a node serves also while its issuer is away.
pub fn issuer(oauth: &Oauth) -> Result<Arc<Issuer>, Failure> {
    let policy = Policy {
        issuer: oauth.issuer.clone(),
        audience: oauth.audience.clone(),
        scopes: oauth.scope.split_ascii_whitespace().map(str::to_owned).collect(),
        username_claim: oauth.username_claim.clone(),
        openid_configuration: oauth.openid_configuration.clone(),
    };
    Ok(Arc::new(Issuer::new(policy, means(oauth)?, roots(oauth)?)))
}

fn means(oauth: &Oauth) -> Result<Means, Failure> {
    match (&oauth.introspection_url, &oauth.jwks_url, &oauth.jwks_file) {
        (Some(url), None, None) => {
            let secret = match &oauth.client_secret_file {
                Some(file) => fs::read_to_string(file)
                    .map_err(Failure::of(format!("cannot read `client_secret_file` {}", file.display())))?,
                None => String::new(),
            };
            let secret = secret.lines().next().unwrap_or_default();
            let client_id = oauth.client_id.as_deref().unwrap_or_default();
            let authorization = Authorization(introspection::authorization(client_id, secret));
            Ok(Means::Introspection { url: url.clone(), authorization })
        }
        (None, Some(url), None) => Ok(Means::KeyUrl(url.clone())),
        (None, None, Some(file)) => Ok(Means::KeyFile(file.clone())),
        _ => Err(Failure::new("[auth.oauth] needs one of `introspection_url`, `jwks_url` and `jwks_file`")),
    }
}

/// Whom the issuer's certificate has to be signed by.
fn roots(oauth: &Oauth) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let Some(file) = &oauth.ca_certificate else {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a certificate that the system trusts cannot be read");
        }
        return Ok(found.certs);
    };
    let tried = || format!("cannot read `ca_certificate` {}", file.display());
    let several: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(Failure::of(tried()))?.collect();
    several.map_err(Failure::of(tried()))
}

//! The certificate that mail clients see.

use std::sync::Arc;

use auth::channel::EndPoint;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;
use crate::failure::Failure;

/// What mail clients are shown.
#[derive(Clone)]
pub struct Certificate {
    /// The chain and its key.
    pub server: Arc<ServerConfig>,
    /// What names the certificate in channel bindings; none where its signature has no hash function of its own.
    pub end_point: Option<EndPoint>,
}

/// Loads the certificate chain and key of the configuration.
pub fn load(tls: &Tls) -> Result<Certificate, Failure> {
    let certificate = tls.certificate.display();
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_file_iter(&tls.certificate)
        .map_err(Failure::of(format!("cannot read the certificate {certificate}")))?
        .collect();
    let chain = chain.map_err(Failure::of(format!("the certificate {certificate} is damaged")))?;
    let Some(first) = chain.first() else {
        return Err(Failure::new(format!(
            "{certificate} holds no certificate; it needs the chain in PEM form"
        )));
    };
    let end_point = EndPoint::of_certificate(first);
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(Failure::of(format!("cannot read the key {}", tls.key.display())))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Failure::of("TLS has no protocol version"))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(Failure::of(format!(
            "the key {} does not fit the certificate {certificate}",
            tls.key.display()
        )))?;
    Ok(Certificate { server: Arc::new(config), end_point })
}

//! Mutual authentication: TLS 1.3 with certificates that nobody signed but their owners. What counts is the key: a node
//! that dials expects the one key of the peer it dials, a node that is dialled accepts the keys of the members.

use std::fmt;
use std::sync::Arc;

use crdt::identity::NodeSlot;
use crdt::operation::Member;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::sync::watch;

use crate::identity::{NodeKey, fingerprint_of, hexadecimal};
use crate::join::Admission;

/// The protocol between members.
pub(crate) const LINK_PROTOCOL: &[u8] = b"peerpost/1";
/// The protocol of a node that wants to become a member.
pub(crate) const JOIN_PROTOCOL: &[u8] = b"peerpost-join/1";

/// The keys of the members as of now.
#[derive(Clone, Debug)]
pub(crate) struct Keys(watch::Receiver<Arc<Vec<Member>>>);

impl Keys {
    pub(crate) fn new(members: watch::Receiver<Arc<Vec<Member>>>) -> Self {
        Keys(members)
    }

    /// Whose key this is.
    pub(crate) fn owner(&self, fingerprint: &[u8; 32]) -> Option<NodeSlot> {
        let members = self.0.borrow();
        members.iter().find(|member| member.key == *fingerprint).map(|member| member.slot)
    }
}

/// Why a key is not accepted. rustls shows the `Debug` form in what both sides log, so that is a sentence, too.
struct Refusal(String);

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

fn refused(why: String) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Refusal(why)))))
}

fn fingerprint(certificate: &CertificateDer<'_>) -> Result<[u8; 32], Error> {
    fingerprint_of(certificate).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The side of the node that is dialled. Who is no member gets in only while an invitation is open, and then, by its
/// protocol, only to the join exchange.
pub(crate) fn server_config(
    key: &NodeKey,
    keys: Keys,
    admission: Option<Arc<dyn Admission>>,
) -> Result<ServerConfig, Error> {
    let provider = provider();
    let verifier = Arc::new(Doorkeeper { keys, admission, provider: Arc::clone(&provider) });
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![key.certificate()], key.private_key())?;
    config.alpn_protocols = vec![LINK_PROTOCOL.to_vec(), JOIN_PROTOCOL.to_vec()];
    // A resumed session would not show its key again: a removed member could come back.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The side of the node that dials a peer with this key.
pub(crate) fn client_config(
    key: &NodeKey,
    expected: [u8; 32],
    protocol: &[u8],
) -> Result<ClientConfig, Error> {
    let provider = provider();
    let verifier = Arc::new(OneKey { expected, provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(vec![key.certificate()], key.private_key())?;
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Lets members in.
struct Doorkeeper {
    keys: Keys,
    admission: Option<Arc<dyn Admission>>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Doorkeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Doorkeeper")
    }
}

impl ClientCertVerifier for Doorkeeper {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let fingerprint = fingerprint(end_entity)?;
        let invited = || self.admission.as_ref().is_some_and(|admission| admission.is_open());
        if self.keys.owner(&fingerprint).is_some() || invited() {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(refused(format!("the key {} is not the key of a member", hexadecimal(&fingerprint))))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken between nodes".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts one key alone.
#[derive(Debug)]
struct OneKey {
    expected: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OneKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let fingerprint = fingerprint(end_entity)?;
        if fingerprint == self.expected {
            Ok(ServerCertVerified::assertion())
        } else {
            let (found, expected) = (hexadecimal(&fingerprint), hexadecimal(&self.expected));
            Err(refused(format!("the key {found} answers, and {expected} was expected")))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken between nodes".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

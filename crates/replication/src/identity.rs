//! The key of a node: what proves to the other members who it is.

use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The name in every certificate. Nobody relies on it: keys are compared, not names.
pub(crate) const CERTIFICATE_NAME: &str = "peerpost";

/// The private key of a node (ECDSA, P-256) with a certificate signed by itself.
#[derive(Debug)]
pub struct NodeKey {
    pair: KeyPair,
    certificate: CertificateDer<'static>,
}

/// Why a key could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Making it failed.
    #[error("the key of the node could not be made: {0}")]
    NotMade(rcgen::Error),
    /// The text is no key.
    #[error(
        "the file with the key of the node holds no key that this node can use ({0}); restore it from a backup"
    )]
    NotAKey(rcgen::Error),
    /// A certificate of a peer does not decode.
    #[error("the peer's certificate does not decode: {0}")]
    BadCertificate(rustls::Error),
}

impl NodeKey {
    /// A new key, from the entropy of the operating system.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = KeyPair::generate().map_err(KeyError::NotMade)?;
        Self::with_pair(pair).map_err(KeyError::NotMade)
    }

    /// The key that [`NodeKey::to_pem`] wrote.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let pair = KeyPair::from_pem(text).map_err(KeyError::NotAKey)?;
        Self::with_pair(pair).map_err(KeyError::NotAKey)
    }

    /// The private key as PEM (PKCS #8). Keep it where only the node can read it.
    pub fn to_pem(&self) -> String {
        self.pair.serialize_pem()
    }

    /// The BLAKE3 hash of the public key (SPKI, DER): the name under which members know it.
    pub fn fingerprint(&self) -> [u8; 32] {
        *blake3::hash(&self.pair.subject_public_key_info()).as_bytes()
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pair.serialize_der()).into()
    }

    /// A secret for one purpose that follows from the private key.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, &self.pair.serialize_der())
    }

    fn with_pair(pair: KeyPair) -> Result<Self, rcgen::Error> {
        let params = CertificateParams::new(vec![CERTIFICATE_NAME.to_owned()])?;
        let certificate = params.self_signed(&pair)?.der().clone();
        Ok(NodeKey { pair, certificate })
    }
}

/// The BLAKE3 hash of the public key in a certificate.
pub(crate) fn fingerprint_of(certificate: &CertificateDer<'_>) -> Result<[u8; 32], KeyError> {
    let parsed = ParsedCertificate::try_from(certificate).map_err(KeyError::BadCertificate)?;
    Ok(*blake3::hash(&parsed.subject_public_key_info()).as_bytes())
}

/// A fingerprint as operators see it.
pub(crate) fn hexadecimal(fingerprint: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*fingerprint).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_and_has_one_fingerprint() {
        let key = NodeKey::generate().expect("entropy");
        let again = NodeKey::from_pem(&key.to_pem()).expect("the same key");
        assert_eq!(key.fingerprint(), again.fingerprint());
        assert_eq!(fingerprint_of(&key.certificate()).expect("decodes"), key.fingerprint());
        assert_ne!(NodeKey::generate().expect("entropy").fingerprint(), key.fingerprint());
        assert!(NodeKey::from_pem("nothing").is_err());
        assert!(fingerprint_of(&CertificateDer::from(vec![1, 2, 3])).is_err());
    }
}

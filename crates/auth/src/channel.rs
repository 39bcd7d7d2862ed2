//! Channel bindings: octets that both ends of one TLS connection know, and that nobody who sits between two connections can
//! make equal on both (RFC 5056).

use aws_lc_rs::digest;

/// The label of `tls-exporter` (RFC 9266 section 4.2).
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// What a connection can be bound by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingKind {
    /// `tls-exporter` (RFC 9266).
    Exporter,
    /// `tls-server-end-point` (RFC 5929 section 4), of clients that know no better.
    ServerEndPoint,
}

impl BindingKind {
    /// The kind of this name (RFC 5056 section 2.1: names are compared octet by octet). `tls-unique` is none: TLS 1.3 has no such
    /// thing (RFC 8446 appendix C.5), and in TLS 1.2 it holds only with the extended master secret.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "tls-exporter" => Some(BindingKind::Exporter),
            "tls-server-end-point" => Some(BindingKind::ServerEndPoint),
            _ => None,
        }
    }
}

/// The channel bindings of one connection; none where it is not protected by TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelBindings {
    /// What TLS exports for this; there only with TLS 1.3, for with TLS 1.2 it would need the extended master secret (RFC 9266
    /// section 4.2), and nobody tells us whether that was agreed on.
    pub exporter: Option<[u8; 32]>,
    /// The hash of the server's certificate.
    pub end_point: Option<EndPoint>,
}

impl ChannelBindings {
    /// The octets of one kind.
    pub fn octets(&self, kind: BindingKind) -> Option<Vec<u8>> {
        match kind {
            BindingKind::Exporter => self.exporter.map(|octets| octets.to_vec()),
            BindingKind::ServerEndPoint => self.end_point.as_ref().map(|point| point.0.as_ref().to_vec()),
        }
    }
}

/// `tls-server-end-point`: the hash of a certificate, by the hash function of its own signature, but not by MD5 or SHA-1, in
/// place of which SHA-256 stands (RFC 5929 section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndPoint(std::sync::Arc<[u8]>);

impl EndPoint {
    /// Of a certificate in DER. None where its signature has no hash function of its own (Ed25519), or one that is not
    /// known here: the binding is undefined then.
    pub fn of_certificate(certificate: &[u8]) -> Option<Self> {
        let hash = digest::digest(algorithm(certificate)?, certificate);
        Some(EndPoint(hash.as_ref().into()))
    }
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }` (RFC 5280 section 4.1).
fn algorithm(certificate: &[u8]) -> Option<&'static digest::Algorithm> {
    let (mut parts, _) = element(certificate, SEQUENCE)?;
    let (_, rest) = element(parts, SEQUENCE)?;
    parts = rest;
    let (algorithm, _) = element(parts, SEQUENCE)?;
    let (identifier, parameters) = element(algorithm, OBJECT_IDENTIFIER)?;
    match identifier {
        MD5_WITH_RSA | SHA1_WITH_RSA | ECDSA_WITH_SHA1 => Some(&digest::SHA256),
        SHA256_WITH_RSA | ECDSA_WITH_SHA256 => Some(&digest::SHA256),
        SHA384_WITH_RSA | ECDSA_WITH_SHA384 => Some(&digest::SHA384),
        SHA512_WITH_RSA | ECDSA_WITH_SHA512 => Some(&digest::SHA512),
        RSASSA_PSS => pss_hash(parameters),
        _ => None,
    }
}

/// `RSASSA-PSS-params ::= SEQUENCE { [0] hashAlgorithm DEFAULT sha1, ... }` (RFC 4055 section 3.1).
fn pss_hash(parameters: &[u8]) -> Option<&'static digest::Algorithm> {
    let (fields, _) = element(parameters, SEQUENCE)?;
    let Some((hash, _)) = element(fields, CONTEXT_0) else { return Some(&digest::SHA256) };
    let (identifier, _) = element(element(hash, SEQUENCE)?.0, OBJECT_IDENTIFIER)?;
    match identifier {
        SHA1 | SHA256 => Some(&digest::SHA256),
        SHA384 => Some(&digest::SHA384),
        SHA512 => Some(&digest::SHA512),
        _ => None,
    }
}

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const CONTEXT_0: u8 = 0xa0;

// 1.2.840.113549.1.1.x (RFC 8017 appendix C) and 1.2.840.10045.4.x (RFC 5758 section 3.2).
const MD5_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04];
const SHA1_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05];
const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const SHA256_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const SHA384_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c];
const SHA512_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d];
const ECDSA_WITH_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ECDSA_WITH_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
const ECDSA_WITH_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];
// 1.3.14.3.2.26 and 2.16.840.1.101.3.4.2.x (RFC 4055 section 2.1).
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const SHA512: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];

/// The content of the element of DER that begins here, and what comes after it; none where it has another tag or does not fit.
fn element(octets: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = octets.split_first()?;
    let (&length, rest) = rest.split_first()?;
    (first == tag).then_some(())?;
    match length {
        0..=0x7f => rest.split_at_checked(usize::from(length)),
        // The length of the length: four octets count more than a certificate has.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = digits.iter().fold(0usize, |length, digit| length << 8 | usize::from(*digit));
            rest.split_at_checked(length)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn certificate(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let key = rcgen::KeyPair::generate_for(algorithm).expect("a key");
        let parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
        parameters.self_signed(&key).expect("a certificate").der().to_vec()
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        let of = |algorithm| {
            let certificate = certificate(algorithm);
            (EndPoint::of_certificate(&certificate), certificate)
        };
        let by = |algorithm, certificate: &[u8]| {
            Some(EndPoint(digest::digest(algorithm, certificate).as_ref().into()))
        };
        let (point, certificate) = of(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(point, by(&digest::SHA256, &certificate));
        let (point, certificate) = of(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(point, by(&digest::SHA384, &certificate));
        assert_eq!(of(&rcgen::PKCS_ED25519).0, None);
    }

    /// An algorithm identifier as it stands in a certificate that has nothing else.
    fn shell(identifier: &[u8], parameters: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
        let algorithm = [wrap(OBJECT_IDENTIFIER, identifier), parameters.to_vec()].concat();
        wrap(SEQUENCE, &[wrap(SEQUENCE, b""), wrap(SEQUENCE, &algorithm)].concat())
    }

    #[test]
    fn weak_hashes_give_way_and_pss_tells_its_own() {
        let name = |identifier: &[u8], parameters: &[u8]| algorithm(&shell(identifier, parameters));
        assert_eq!(name(SHA1_WITH_RSA, b""), Some(&digest::SHA256));
        assert_eq!(name(MD5_WITH_RSA, b"\x05\x00"), Some(&digest::SHA256));
        assert_eq!(name(SHA512_WITH_RSA, b"\x05\x00"), Some(&digest::SHA512));
        let pss = [&[0x30, 0x0f, 0xa0, 0x0d, 0x30, 0x0b, 0x06, 0x09], SHA384].concat();
        assert_eq!(name(RSASSA_PSS, &pss), Some(&digest::SHA384));
        assert_eq!(name(RSASSA_PSS, b"\x30\x00"), Some(&digest::SHA256));
        assert_eq!(name(b"\x2a", b""), None);
    }

    proptest! {
        #[test]
        fn whatever_the_octets_are(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = EndPoint::of_certificate(&octets);
        }
    }
}

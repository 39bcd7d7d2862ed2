//! A connection, and what went over it.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::value::literal_at_end;

/// The longest silence of a server that has to say something.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(20);

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A connection.
pub struct Wire {
    stream: BufReader<Box<dyn Stream>>,
    socket: TcpStream,
}

impl Wire {
    /// Connects; `patience` is how long it waits for an answer.
    pub fn open(address: SocketAddr, patience: Duration) -> Self {
        let socket = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        socket.set_read_timeout(Some(patience)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(Box::new(socket.try_clone().unwrap())), socket }
    }

    /// Waits as long as this for an answer from now on.
    pub fn be_patient(&mut self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).unwrap();
    }

    /// Goes on under TLS, whatever the certificate.
    ///
    /// # Errors
    /// Where the handshake fails.
    pub fn start_tls(&mut self) -> Result<(), String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = self.socket.try_clone().unwrap();
        connection.complete_io(&mut socket).map_err(|error| format!("the TLS handshake: {error}"))?;
        self.stream = BufReader::new(Box::new(StreamOwned::new(connection, socket)));
        Ok(())
    }

    /// Goes on compressed (RFC 4978).
    ///
    /// # Errors
    /// Where the connection is gone.
    pub fn start_deflate(&mut self) -> Result<(), String> {
        let socket = || self.socket.try_clone().map_err(|error| error.to_string());
        let (from, to) =
            (DeflateDecoder::new(socket()?), DeflateEncoder::new(socket()?, Compression::default()));
        self.stream = BufReader::new(Box::new(Deflated { from, to }));
        Ok(())
    }

    /// Sends octets.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub fn send(&mut self, octets: &[u8]) -> Result<(), String> {
        let stream = self.stream.get_mut();
        stream.write_all(octets).and_then(|()| stream.flush()).map_err(|error| format!("sending: {error}"))
    }

    /// The next response without its last line end; `None` at the end of the connection.
    ///
    /// # Errors
    /// Where nothing comes, or half a response.
    pub fn response(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut response = Vec::new();
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            response.extend_from_slice(&line);
            // What people read may end in anything.
            let status = [" OK ", " NO ", " BAD ", " BYE "].iter().any(|status| {
                response.split(|octet| *octet == b' ').nth(1) == Some(status.trim().as_bytes())
            });
            let Some(length) = literal_at_end(&line).filter(|_| !status) else { return Ok(Some(response)) };
            let start = response.len() + 2;
            response.extend_from_slice(b"\r\n");
            response.resize(start + length, 0);
            self.stream
                .read_exact(&mut response[start..])
                .map_err(|error| format!("in a literal: {error}"))?;
        }
    }

    /// The next line without its end; `None` at the end of the connection.
    ///
    /// # Errors
    /// Where nothing comes, or half a line.
    pub fn line(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof].contains(&error.kind()) => {
                return Ok(None);
            }
            Err(error) => return Err(format!("nothing more came: {error}")),
        }
        match line.strip_suffix(b"\r\n") {
            Some(line) => Ok(Some(line.to_vec())),
            None => Err(format!("a line without CRLF: {}", String::from_utf8_lossy(&line))),
        }
    }
}

/// Both directions of a compressed connection.
struct Deflated {
    from: DeflateDecoder<TcpStream>,
    to: DeflateEncoder<TcpStream>,
}

impl Read for Deflated {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        self.from.read(octets)
    }
}

impl Write for Deflated {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.to.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The certificates of these servers are their own.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

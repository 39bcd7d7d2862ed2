//! An issuer of tokens on this machine: its keys, and what it says of tokens.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

/// Requests are answered one after another, at most so long each.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// What the issuer does.
#[derive(Debug, Default)]
pub struct Behaviour {
    /// Its keys, as `GET /keys` shows them.
    pub keys: Vec<Value>,
    /// What `POST /introspect` says of tokens; of all others that they are not active.
    pub tokens: BTreeMap<String, Value>,
    /// It takes connections and says nothing.
    pub silent: bool,
    /// The requests that came, with their Authorization headers.
    pub requests: Vec<(String, String)>,
}

/// A running issuer; it serves until the test ends.
pub struct Issuer {
    pub address: SocketAddr,
    pub behaviour: Arc<Mutex<Behaviour>>,
}

impl Issuer {
    /// An issuer that speaks HTTP.
    pub fn start() -> Self {
        Self::serve(None)
    }

    /// An issuer that speaks HTTPS, with `certificate.pem` and `key.pem` of this directory.
    pub fn start_tls(directory: &Path) -> Self {
        let chain = CertificateDer::pem_file_iter(directory.join("certificate.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(directory.join("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        Self::serve(Some(Arc::new(config)))
    }

    fn serve(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = Arc::new(Mutex::new(Behaviour::default()));
        let shared = Arc::clone(&behaviour);
        thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                stream.set_read_timeout(Some(LONGEST_SILENCE)).unwrap();
                if shared.lock().unwrap().silent {
                    kept.push(stream);
                    continue;
                }
                // A client that gives up is no business of the test's.
                let _ = match &tls {
                    None => answer(stream, &shared),
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
                        answer(rustls::StreamOwned::new(connection, stream), &shared)
                    }
                };
            }
        });
        Issuer { address, behaviour }
    }

    /// How often it was asked.
    pub fn count(&self) -> usize {
        self.behaviour.lock().unwrap().requests.len()
    }
}

/// One request, one answer.
fn answer<S: Read + Write>(stream: S, behaviour: &Mutex<Behaviour>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut request, mut authorization, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut request)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = value.to_owned(),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).unwrap();
    let mut behaviour = behaviour.lock().unwrap();
    behaviour.requests.push((request.trim_end().to_owned(), authorization));
    let (status, told) = match request.split(' ').take(2).collect::<Vec<_>>()[..] {
        ["GET", "/keys"] => ("200 OK", json!({ "keys": behaviour.keys })),
        ["POST", "/introspect"] => {
            let token = body.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default();
            ("200 OK", behaviour.tokens.get(token).cloned().unwrap_or_else(|| json!({ "active": false })))
        }
        _ => ("404 Not Found", json!({})),
    };
    drop(behaviour);
    let told = told.to_string();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}", told.len());
    let stream = reader.get_mut();
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n{told}").as_bytes())?;
    stream.flush()
}

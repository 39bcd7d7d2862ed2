//! One name with the addresses of all nodes, as two records in DNS give it to mail clients.
//!
//! Every node has a door: an address of its own, 127.0.0.1 for the first node, 127.0.0.2 for the second, and on it the ports that all
//! doors share. A client is configured with the name and a port, once; which node it comes to is decided by its resolver and by
//! which doors are shut. A shut door refuses, as a server does that does not run. What clients say without TLS is remembered.
//!
//! The name exists in the processes alone that get [`Doors::environment`]: Debian's libnss-wrapper answers for the resolver.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::node::Node;
use super::ports::free_address;

/// The name that stands for all nodes.
pub const NAME: &str = "mail.example.org";

/// How often a waiting thread looks whether something has changed.
const TICK: Duration = Duration::from_millis(10);
/// How many ports are tried that may be free on all addresses.
const MOST_PORTS: usize = 100;

/// The doors of a cluster. Their threads end when it is dropped.
pub struct Doors {
    pub imap: u16,
    pub imap_tls: u16,
    pub pop3: u16,
    pub pop3_tls: u16,
    hosts: PathBuf,
    doors: Vec<Arc<Door>>,
}

#[derive(Default)]
struct Door {
    shut: AtomicBool,
    ended: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Listeners that are open now.
    listeners: usize,
    connections: usize,
    streams: Vec<TcpStream>,
    /// What clients said on each connection without TLS.
    said: Vec<Vec<u8>>,
}

impl Doors {
    /// One door for each node, all open; `directory` gets the file that names them.
    #[track_caller]
    pub fn new(nodes: &[Node], directory: &Path) -> Self {
        let addresses: Vec<Ipv4Addr> =
            (1..).take(nodes.len()).map(|last| Ipv4Addr::new(127, 0, 0, last)).collect();
        let [imap, imap_tls, pop3, pop3_tls] = std::array::from_fn(|_| free_port(&addresses));
        let hosts = directory.join("hosts");
        let lines = addresses.iter().map(|address| format!("{address} {NAME}\n"));
        fs::write(&hosts, lines.collect::<String>()).unwrap();
        let mut doors = Vec::new();
        for (node, address) in nodes.iter().zip(&addresses) {
            let door = Arc::new(Door::default());
            let ways = [
                (imap, Some(node.imap), true),
                (imap_tls, node.imap_tls, false),
                (pop3, Some(node.pop3), true),
                (pop3_tls, node.pop3_tls, false),
            ];
            for (port, behind, legible) in ways {
                let Some(behind) = behind else { continue };
                let (door, front) = (Arc::clone(&door), SocketAddr::from((*address, port)));
                thread::spawn(move || door.serve(front, behind, legible));
            }
            doors.push(door);
        }
        let all = Self { imap, imap_tls, pop3, pop3_tls, hosts, doors };
        (0..nodes.len()).for_each(|place| all.open(place));
        all
    }

    /// Lets clients through to a node.
    pub fn open(&self, place: usize) {
        let door = &self.doors[place];
        door.shut.store(false, Ordering::SeqCst);
        door.wait(|state| state.listeners > 0);
    }

    /// Ends every connection to a node, and refuses new ones.
    pub fn shut(&self, place: usize) {
        let door = &self.doors[place];
        door.shut.store(true, Ordering::SeqCst);
        door.wait(|state| state.listeners == 0);
        // A client that was let in while the listeners closed is in the list by now, too.
        for stream in door.state().streams.drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many connections came through to a node so far.
    pub fn connections(&self, place: usize) -> usize {
        self.doors[place].state().connections
    }

    /// All that clients said to a node without TLS so far, one connection after the other.
    pub fn said(&self, place: usize) -> String {
        let state = self.doors[place].state();
        state.said.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// Forgets what clients said.
    pub fn forget(&self) {
        for door in &self.doors {
            door.state().said.iter_mut().for_each(Vec::clear);
        }
    }

    /// What makes [`NAME`] known to a process and to those that it starts.
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        [("LD_PRELOAD", "libnss_wrapper.so".into()), ("NSS_WRAPPER_HOSTS", self.hosts.clone().into())]
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        for (place, door) in self.doors.iter().enumerate() {
            door.ended.store(true, Ordering::SeqCst);
            self.shut(place);
        }
    }
}

impl Door {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, enough: impl Fn(&State) -> bool) {
        while !enough(&self.state()) {
            thread::sleep(TICK);
        }
    }

    /// Listens whenever the door is open.
    fn serve(self: Arc<Self>, front: SocketAddr, behind: SocketAddr, legible: bool) {
        while !self.ended.load(Ordering::SeqCst) {
            if !self.shut.load(Ordering::SeqCst) {
                self.state().listeners += 1;
                self.listen(front, behind, legible);
                self.state().listeners -= 1;
            }
            thread::sleep(TICK);
        }
    }

    fn listen(self: &Arc<Self>, front: SocketAddr, behind: SocketAddr, legible: bool) {
        let listener = TcpListener::bind(front).unwrap_or_else(|error| panic!("no door at {front}: {error}"));
        listener.set_nonblocking(true).unwrap();
        while !self.shut.load(Ordering::SeqCst) {
            let Ok((client, _)) = listener.accept() else {
                thread::sleep(TICK);
                continue;
            };
            client.set_nonblocking(false).unwrap();
            // A node that does not run refuses; here that is a connection that ends at once.
            let Ok(server) = TcpStream::connect(behind) else { continue };
            self.let_through(&client, &server, legible);
        }
    }

    fn let_through(self: &Arc<Self>, client: &TcpStream, server: &TcpStream, legible: bool) {
        let mut state = self.state();
        state.connections += 1;
        state.streams.push(client.try_clone().unwrap());
        let place = legible.then(|| {
            state.said.push(Vec::new());
            state.said.len() - 1
        });
        for (mut from, mut to, place) in [(client, server, place), (server, client, None)]
            .map(|(from, to, place)| (from.try_clone().unwrap(), to.try_clone().unwrap(), place))
        {
            let door = Arc::clone(self);
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(count @ 1..) = from.read(&mut buffer) {
                    if let Some(place) = place {
                        door.state().said[place].extend_from_slice(&buffer[..count]);
                    }
                    if to.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                // Either end may have gone first.
                let _ = to.shutdown(Shutdown::Both);
                let _ = from.shutdown(Shutdown::Both);
            });
        }
    }
}

/// A port that nobody uses on any of the addresses.
#[track_caller]
fn free_port(addresses: &[Ipv4Addr]) -> u16 {
    let mut ports = std::iter::repeat_with(|| free_address().port()).take(MOST_PORTS);
    let free =
        ports.find(|port| addresses.iter().all(|address| TcpListener::bind((*address, *port)).is_ok()));
    free.unwrap_or_else(|| panic!("no port is free on all of {addresses:?}"))
}

//! kill -9 and SIGTERM in the middle of deliveries lose nothing that was acknowledged.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test of real processes reads the clock, starts threads and fails by panicking"
)]

mod kit;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kit::cluster::{ACCOUNT, Cluster, PASSWORD};
use kit::imap::Client;
use kit::wait::{LONGEST, eventually};
use kit::witness::Witness;
use kit::{lmtp, message};

const KILLS: usize = 20;
/// What a pipe holds before it makes its writer wait.
const PIPE_OCTETS: usize = 65_536;

/// Delivers until the node is gone or the round is over; the Message-IDs that were acknowledged.
fn deliver_until(
    over: &AtomicBool,
    address: std::net::SocketAddr,
    prefix: &str,
    acknowledged: &Mutex<BTreeSet<String>>,
) {
    let Ok(mut client) = lmtp::Client::connect(address) else { return };
    for number in (0..).take_while(|_| !over.load(Ordering::Relaxed)) {
        let id = format!("{prefix}-{number}");
        match client.offer(&[ACCOUNT], &message(&id, "before the crash")) {
            Ok(replies) if replies.iter().all(|reply| reply.code == 250) => {
                acknowledged.lock().unwrap().insert(id);
            }
            // It is going down and says so.
            Ok(replies) if replies.iter().all(|reply| reply.code / 100 == 4) => return,
            Ok(replies) => panic!("{id}: {replies:?}"),
            Err(_) => return,
        }
    }
}

#[test]
fn everything_acknowledged_survives_twenty_kills() {
    let mut cluster = Cluster::two();
    let witness = Witness::default();
    let acknowledged = Mutex::new(BTreeSet::new());
    let mut sessions: Vec<Client> = cluster.nodes.iter().map(|node| Client::open(node, &witness)).collect();
    for round in 0..KILLS {
        let victim = round % 2;
        // Now and then both at once.
        let both = round % 5 == 4;
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            // The other node takes mail too: the victim is killed while it applies what comes from there.
            for (index, node) in cluster.nodes.iter().enumerate() {
                let (address, prefix) = (node.lmtp, format!("round-{round}-{index}"));
                let (acknowledged, over) = (&acknowledged, &over);
                scope.spawn(move || deliver_until(over, address, &prefix, acknowledged));
            }
            // Another moment in each round.
            thread::sleep(Duration::from_millis(40 + 37 * (round as u64 % 7)));
            // What a client was shown just before is a promise that the next life has to keep: the witness looks after it.
            for session in &mut sessions {
                session.list("INBOX");
            }
            let victims = cluster.nodes.iter().enumerate().filter(|(index, _)| both || *index == victim);
            let processes: Vec<String> =
                victims.map(|(_, node)| node.process_id().unwrap().to_string()).collect();
            let command = format!("kill -9 {}", processes.join(" "));
            let killed = std::process::Command::new("sh").args(["-c", &command]).status();
            assert!(killed.unwrap().success());
            over.store(true, Ordering::Relaxed);
        });
        for index in (0..cluster.nodes.len()).filter(|index| both || *index == victim) {
            cluster.nodes[index].kill();
            cluster.nodes[index].start();
            sessions[index] = Client::open(&cluster.nodes[index], &witness);
            sessions[index].list("INBOX");
        }
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    println!("{} messages were acknowledged over {KILLS} kills", acknowledged.len());
    assert!(acknowledged.len() >= KILLS, "the kills came before the deliveries");

    for node in &cluster.nodes {
        let mut client = Client::open(node, &witness);
        eventually(&format!("everything acknowledged is on {}", node.name), || {
            client.list("INBOX");
            let shown: BTreeSet<String> = client.message_ids().into_values().collect();
            let missing: Vec<&String> = acknowledged.difference(&shown).collect();
            if missing.is_empty() {
                Ok(())
            } else {
                Err(format!("{} missing: {:?}", missing.len(), missing[0]))
            }
        });
    }
    let [first, second] = &cluster.nodes[..] else { panic!("two nodes") };
    let (mut a, mut b) = (Client::open(first, &witness), Client::open(second, &witness));
    eventually("both show the same", || {
        let (shown_a, shown_b) = (a.list("INBOX"), b.list("INBOX"));
        let counts = format!("{} and {} messages", shown_a.messages.len(), shown_b.messages.len());
        if shown_a == shown_b { Ok(()) } else { Err(counts) }
    });
    for node in &mut cluster.nodes {
        node.succeeds(&["verify"]);
        node.stop();
        node.succeeds(&["verify"]);
    }
}

/// Everything that a session in IDLE hears until its connection ends.
fn idle_until_the_end(address: std::net::SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONGEST)).unwrap();
    write!(stream, "a LOGIN {ACCOUNT} \"{PASSWORD}\"\r\nb SELECT INBOX\r\nc IDLE\r\n").unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    String::from_utf8(heard).unwrap()
}

#[test]
fn sigterm_says_goodbye_and_loses_nothing() {
    let mut cluster = Cluster::two();
    let witness = Witness::default();
    let acknowledged = Mutex::new(BTreeSet::new());
    for round in 0..3 {
        let (lmtp, imap) = (cluster.nodes[0].lmtp, cluster.nodes[0].imap);
        let heard = thread::scope(|scope| {
            let never = AtomicBool::new(false);
            let (acknowledged, prefix) = (&acknowledged, format!("round-{round}"));
            let idle = scope.spawn(move || idle_until_the_end(imap));
            scope.spawn(move || deliver_until(&never, lmtp, &prefix, acknowledged));
            let known = acknowledged.lock().unwrap().len();
            eventually("deliveries go on", || {
                let more = acknowledged.lock().unwrap().len() - known;
                if more >= 20 { Ok(()) } else { Err(format!("{more} messages")) }
            });
            let from = Instant::now();
            cluster.nodes[0].stop();
            println!("ended {:.3} s after SIGTERM", from.elapsed().as_secs_f64());
            idle.join().unwrap()
        });
        assert!(heard.contains("+ ") && heard.contains(" EXISTS\r\n"), "{heard}");
        assert!(heard.lines().last().is_some_and(|line| line.starts_with("* BYE ")), "{heard}");
        cluster.nodes[0].start();
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    println!("{} messages were acknowledged", acknowledged.len());
    for node in &cluster.nodes {
        let mut client = Client::open(node, &witness);
        eventually(&format!("everything acknowledged is on {}", node.name), || {
            client.list("INBOX");
            let shown: BTreeSet<String> = client.message_ids().into_values().collect();
            let missing = acknowledged.difference(&shown).count();
            if missing == 0 { Ok(()) } else { Err(format!("{missing} missing")) }
        });
        node.succeeds(&["verify"]);
    }
}

/// SIGTERM in the moment of `ready` killed the node now and then: it listened for signals only after that. The next start found
/// what a crash leaves, and sessions had heard no goodbye. Here nobody reads what the node says, so that the moment lasts.
#[test]
fn sigterm_in_the_moment_of_ready_ends_the_node_cleanly() {
    let mut cluster = Cluster::one();
    let node = &mut cluster.nodes[0];
    node.stop();
    let (mut reader, mut full) = std::io::pipe().unwrap();
    full.write_all(&[b'\n'; PIPE_OCTETS]).unwrap();
    let mut process = node.serve(full);
    eventually("the node serves", || match lmtp::Client::connect(node.lmtp) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    });
    // Long enough for it to come to its `ready`; were it too short, the test would pass without having seen anything.
    thread::sleep(Duration::from_millis(500));
    let command = format!("kill -TERM {}", process.id());
    assert!(std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success());
    thread::sleep(Duration::from_millis(200));
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(said.trim(), "ready");
    let ended = process.wait().unwrap();
    assert!(ended.success(), "{ended}; its log:\n{}", node.log_text());
    node.start();
}

//! curl: one command a run, and no memory.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use auth::testing::Signer;

use super::world::{A, B, INBOX_IN_THE_END, INBOX_ONLINE, PROJECTS_IN_THE_END, PROJECTS_ONLINE, World};
use super::{LIMIT, await_count, with_tls};
use crate::kit::cluster::{ACCOUNT, PASSWORD};
use crate::kit::doors::NAME;
use crate::kit::node::Node;
use crate::kit::wait::{Outcome, eventually, run};
use crate::kit::{delivered, lmtp, message};

fn run_curl(arguments: &[&str]) -> Outcome {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "30", "--insecure"]);
    command.args(["--user", &format!("{ACCOUNT}:{PASSWORD}")]).args(arguments);
    run(&mut command, b"", LIMIT).success(&format!("curl {}", arguments.join(" ")))
}

pub fn imap() {
    let cluster = with_tls();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    let file = cluster.directory().join("message");
    fs::write(&file, message("curl", "from curl")).unwrap();
    let url = |scheme: &str, address: SocketAddr, rest: &str| format!("{scheme}://{address}/{rest}");

    run_curl(&["--upload-file", file.to_str().unwrap(), &url("imap", a.imap, "INBOX")]);
    let read = |scheme: &str, address: SocketAddr, more: &[&str]| {
        let url = url(scheme, address, "INBOX;MAILINDEX=1");
        let arguments: Vec<&str> = more.iter().copied().chain([url.as_str()]).collect();
        run_curl(&arguments).stdout
    };
    assert!(read("imap", a.imap, &[]).contains("This is curl."));
    assert!(read("imap", a.imap, &["--ssl-reqd"]).contains("This is curl."));
    assert!(read("imaps", a.imap_tls.unwrap(), &[]).contains("This is curl."));

    let status = url("imap", b.imap, "");
    eventually("appended on a, counted on b", || {
        let answer = run_curl(&["--request", "STATUS INBOX (MESSAGES)", &status]).stdout;
        if answer.contains("MESSAGES 1") { Ok(()) } else { Err(answer) }
    });
    assert!(read("imaps", b.imap_tls.unwrap(), &[]).contains("This is curl."));
}

/// curl speaks OAUTHBEARER where it is offered, and by its own choice on both protocols.
pub fn token() {
    let directory = tempfile::tempdir().unwrap();
    let signer = Signer::eddsa("one");
    let keys = serde_json::json!({ "keys": [signer.jwk()] });
    fs::write(directory.path().join("keys.json"), keys.to_string()).unwrap();
    let mut node = Node::new("a", directory.path(), false);
    node.configure(
        node.quic,
        "[auth.oauth]\nissuer = \"https://id.example.com\"\naudience = \"peerpost\"\nusername_claim = \"sub\"\n\
         jwks_file = \"keys.json\"\n",
    );
    node.succeeds(&["init"]);
    node.start();
    node.add_user(ACCOUNT, PASSWORD);
    lmtp::Client::open(&node).deliver(&message("curl", "for curl"));
    let claims = |audience: &str| {
        serde_json::json!({
            "iss": "https://id.example.com", "aud": audience, "exp": 4_000_000_000u64, "sub": ACCOUNT,
        })
    };
    let read = |url: &str, mechanism: &str, token: &str| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "30", "--user", ACCOUNT]);
        command.args(["--login-options", &format!("AUTH={mechanism}"), "--oauth2-bearer", token, url]);
        run(&mut command, b"", LIMIT)
    };
    let (good, bad) = (signer.sign(&claims("peerpost")), signer.sign(&claims("calendar")));
    for url in [format!("imap://{}/INBOX;MAILINDEX=1", node.imap), format!("pop3://{}/1", node.pop3)] {
        for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
            let outcome = read(&url, mechanism, &good).success(&format!("curl {mechanism} {url}"));
            assert!(outcome.stdout.contains("This is curl."), "{outcome:?}");
            assert!(!read(&url, mechanism, &bad).status.success(), "{mechanism} {url}");
        }
    }
}

/// What a script with curl does: it keeps UIDs, and acts by them wherever the name leads.
pub fn life() {
    let world = World::new();
    let curl = |path: &str, request: &str| {
        let mut command = world.command("curl", "curl");
        command.args([
            "--silent",
            "--show-error",
            "--max-time",
            "30",
            "--user",
            &format!("{ACCOUNT}:{PASSWORD}"),
        ]);
        command.arg("--cacert").arg(world.certificate());
        if !request.is_empty() {
            command.args(["--request", request]);
        }
        command.arg(format!("imaps://{NAME}:{}/{path}", world.doors.imap_tls));
        run(&mut command, b"", LIMIT).success(&format!("curl {path} {request}")).stdout
    };
    let names = curl("", "");
    assert!(names.contains("\"INBOX\"") && names.contains("\"Projects\""), "{names}");
    let validity = world.contents(A, "INBOX").uid_validity;
    // As the order of delivery was: 1 read, 2 flag, 3 move, 4 delete; and the same from 8 on.
    let change = |read: u32| {
        let text = curl(&format!("INBOX;UIDVALIDITY={validity};UID={read}"), "");
        assert!(text.contains("Subject: about ") && text.contains("read."), "{text}");
        curl("INBOX", &format!("UID STORE {} +FLAGS (\\Flagged)", read + 1));
        curl("INBOX", &format!("UID MOVE {} Projects", read + 2));
        curl("INBOX", &format!("UID STORE {} +FLAGS (\\Deleted)", read + 3));
        curl("INBOX", &format!("UID EXPUNGE {}", read + 3));
    };
    change(1);
    assert_eq!(curl("INBOX?SUBJECT%20stay", "").trim(), "* SEARCH 4");
    world.shows("INBOX", INBOX_ONLINE);
    world.shows("Projects", PROJECTS_ONLINE);
    assert_eq!(world.doors.connections(B), 0);

    world.meanwhile();
    world.doors.shut(A);
    change(8);
    world.shows("INBOX", INBOX_IN_THE_END);
    world.shows("Projects", PROJECTS_IN_THE_END);
    world.keeps_uids();
    assert!(world.doors.connections(B) > 0, "it found the second address by itself");
}

pub fn pop3() {
    let cluster = with_tls();
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    let mut lmtp = lmtp::Client::open(a);
    for id in ["first", "second"] {
        lmtp.deliver(&message(id, "for curl"));
    }
    await_count(b, 2);
    let [first, second] = ["first", "second"].map(|id| delivered(&message(id, "for curl")));
    for node in [a, b] {
        let (plain, tls) = (format!("pop3://{}", node.pop3), format!("pop3s://{}", node.pop3_tls.unwrap()));
        let listed = run_curl(&[&format!("{plain}/")]).stdout;
        assert_eq!(listed, format!("1 {}\r\n2 {}\r\n", first.len(), second.len()));
        for (url, more) in [(&plain, &[][..]), (&plain, &["--ssl-reqd"][..]), (&tls, &[][..])] {
            let url = format!("{url}/2");
            let arguments: Vec<&str> = more.iter().copied().chain([url.as_str()]).collect();
            assert_eq!(run_curl(&arguments).stdout.as_bytes(), second);
        }
    }
    run_curl(&["--request", "DELE", "--head", &format!("pop3s://{}/1", b.pop3_tls.unwrap())]);
    await_count(a, 1);
    let left = run_curl(&[&format!("pop3://{}/1", a.pop3)]).stdout;
    assert_eq!(left.as_bytes(), second);
}

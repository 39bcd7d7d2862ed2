//! Thunderbird under a virtual display, driven by its remote protocol.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::marionette::Marionette;
use super::script;
use super::world::{
    A, B, Expected, INBOX_IN_THE_END, INBOX_ONLINE, PROJECTS_IN_THE_END, PROJECTS_ONLINE, World,
};
use crate::kit::cluster::{ACCOUNT, PASSWORD};
use crate::kit::doors::NAME;
use crate::kit::ports::free_address;
use crate::kit::wait::eventually;

pub fn life() {
    let world = World::new();
    let mut bird = Thunderbird::start(&world);
    bird.does("setUp", json!([NAME, world.doors.imap, ACCOUNT, PASSWORD]));
    bird.does("folders", json!([["INBOX", "Projects", "Trash"]]));
    bird.shows("INBOX", &super::world::MESSAGES.map(|id| (id, "")));
    bird.does("download", json!(["INBOX"]));
    bird.shows("Projects", &[("archived", "\\Seen")]);
    bird.does("read", json!(["INBOX", "read"]));
    bird.does("mark", json!(["INBOX", "flag", "flagged"]));
    bird.does("move", json!(["INBOX", "move", "Projects"]));
    bird.does("remove", json!(["INBOX", "delete"]));
    assert_eq!(bird.does("search", json!(["INBOX", "This is stay"])), json!(["stay"]));
    world.shows("INBOX", INBOX_ONLINE);
    world.shows("Projects", PROJECTS_ONLINE);
    bird.shows("INBOX", INBOX_ONLINE);
    bird.shows("Projects", PROJECTS_ONLINE);
    assert_eq!(world.doors.connections(B), 0);

    offline(&world, &mut bird);
    back_and_with_tls(&world, &mut bird);
    apart(&world, &mut bird);
    bird.ends();
}

/// What is done offline is brought to the other node.
fn offline(world: &World, bird: &mut Thunderbird) {
    bird.does("goOffline", json!([]));
    bird.does("mark", json!(["INBOX", "off-read", "read"]));
    bird.does("mark", json!(["INBOX", "off-flag", "flagged"]));
    world.meanwhile();
    world.doors.shut(A);
    world.doors.forget();
    bird.does("goOnline", json!([]));
    world.has_flag("off-read", "\\Seen");
    world.has_flag("off-flag", "\\Flagged");
    // It brings all flags of a message as they were when it went offline, and so takes away what others have set meanwhile.
    world.flag("off-read", "\\Flagged");

    bird.does("goOffline", json!([]));
    bird.does("move", json!(["INBOX", "off-move", "Projects"]));
    bird.does("remove", json!(["INBOX", "off-delete"]));
    bird.does("goOnline", json!([]));
    world.shows("INBOX", INBOX_IN_THE_END);
    world.shows("Projects", PROJECTS_IN_THE_END);
    bird.shows("INBOX", INBOX_IN_THE_END);
    bird.shows("Projects", PROJECTS_IN_THE_END);
    world.keeps_uids();
    bird.does("download", json!(["INBOX"]));
    let new = [("INBOX", "late"), ("Projects", "off-move")]
        .map(|(mailbox, id)| world.contents(B, mailbox).messages[id][0].0.to_string());
    let fetched = bodies(world, B);
    assert!(
        !fetched.is_empty() && fetched.iter().all(|uids| new.contains(uids)),
        "{fetched:?}, new is {new:?}"
    );
}

/// Nothing is fetched again at the first node, nor where the account is changed to another port with TLS.
fn back_and_with_tls(world: &World, bird: &mut Thunderbird) {
    bird.does("download", json!(["INBOX"]));
    bird.does("download", json!(["Projects"]));
    let before = [bird.list("INBOX"), bird.list("Projects")];
    world.doors.forget();
    world.doors.open(A);
    world.doors.shut(B);
    let known = world.doors.connections(A);
    bird.shows("INBOX", INBOX_IN_THE_END);
    bird.shows("Projects", PROJECTS_IN_THE_END);
    assert!(world.doors.connections(A) > known);
    assert_eq!(bodies(world, A), Vec::<String>::new(), "fetched again");
    let known = world.doors.connections(A);
    bird.does("useTls", json!([world.doors.imap_tls]));
    bird.shows("INBOX", INBOX_IN_THE_END);
    bird.shows("Projects", PROJECTS_IN_THE_END);
    assert!(world.doors.connections(A) > known);
    assert_eq!([bird.list("INBOX"), bird.list("Projects")], before);
}

/// Sees each of two nodes that are apart, and both once they have met again.
fn apart(world: &World, bird: &mut Thunderbird) {
    let known = |more: &[&'static str]| {
        let more = more.iter().map(|id| (*id, ""));
        INBOX_IN_THE_END.iter().copied().chain(more).collect::<Vec<_>>()
    };
    let [at_a, at_b] = ["at-a", "at-b"];
    world.split(&[(A, at_a), (B, at_b)]);
    bird.shows("INBOX", &known(&[at_a]));
    world.doors.open(B);
    world.doors.shut(A);
    bird.shows("INBOX", &known(&[at_b]));
    world.join(&[at_a, at_b]);
    bird.shows("INBOX", &known(&[at_a, at_b]));

    let only = "only-at-a";
    world.doors.open(A);
    world.doors.shut(B);
    bird.shows("INBOX", &known(&[at_a, at_b]));
    world.split(&[(A, only)]);
    bird.shows("INBOX", &known(&[at_a, at_b, only]));
    world.doors.open(B);
    world.doors.shut(A);
    bird.shows("INBOX", &known(&[at_a, at_b]));
    world.join(&[only]);
    bird.shows("INBOX", &known(&[at_a, at_b, only]));
    world.keeps_uids();
}

/// The sets of UIDs of which whole messages were fetched.
fn bodies(world: &World, place: usize) -> Vec<String> {
    let said = world.doors.said(place);
    let fetches = said.lines().filter(|line| line.contains("BODY.PEEK[]"));
    fetches.map(|line| line.split(' ').nth(3).unwrap_or_default().to_owned()).collect()
}

/// A running Thunderbird with its display.
struct Thunderbird {
    display: Child,
    process: Child,
    session: Marionette,
    functions: String,
}

impl Thunderbird {
    #[track_caller]
    fn start(world: &World) -> Self {
        let home = world.home("thunderbird");
        let profile = world.home("thunderbird/profile");
        let address = free_address();
        let settings = [
            "\"app.update.enabled\", false",
            "\"datareporting.policy.dataSubmissionEnabled\", false",
            "\"mail.provider.suppress_dialog_on_startup\", true",
            "\"mail.shell.checkDefaultClient\", false",
            "\"mail.spotlight.firstRunDone\", true",
            "\"mail.biff.show_alert\", false",
            "\"mailnews.start_page.enabled\", false",
            &format!("\"marionette.port\", {}", address.port()),
        ];
        let text: String = settings.iter().map(|setting| format!("user_pref({setting});\n")).collect();
        fs::write(profile.join("user.js"), text).unwrap();
        let (display, number) = virtual_display();
        let mut command = world.command("thunderbird", "thunderbird");
        command.env("DISPLAY", format!(":{number}")).arg("--profile").arg(&profile);
        command.args(["-no-remote", "-marionette", "-remote-allow-system-access"]);
        let log = File::create(home.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.spawn().unwrap();
        let session = Marionette::connect(address);
        let functions = fs::read_to_string(script("thunderbird.js")).unwrap();
        Self { display, process, session, functions }
    }

    /// Calls one of the functions of thunderbird.js.
    #[track_caller]
    fn does(&mut self, function: &str, parameters: Value) -> Value {
        let body = format!("{}\nreturn await {function}(...parameters);", self.functions);
        self.session.evaluate(&body, &parameters)
    }

    /// Each message of a folder: its Message-ID, UID, whether it is read, flagged, and stored.
    #[track_caller]
    fn list(&mut self, mailbox: &str) -> Value {
        self.does("list", json!([mailbox]))
    }

    /// Waits until a folder shows these messages, and these flags.
    #[track_caller]
    fn shows(&mut self, mailbox: &str, expected: Expected) {
        let ids: Vec<&str> = expected.iter().map(|(id, _)| *id).collect();
        self.does("shows", json!([mailbox, ids]));
        eventually(&format!("the flags of {mailbox} in Thunderbird"), || {
            let list = self.list(mailbox);
            for (id, flags) in expected {
                let shown: Vec<&Value> =
                    list.as_array().unwrap().iter().filter(|each| each[0] == *id).collect();
                let [one] = shown[..] else { return Err(format!("{id} in {list}")) };
                if one[2] != flags.contains("\\Seen") || one[3] != flags.contains("\\Flagged") {
                    return Err(format!("{id} is {one}"));
                }
            }
            Ok(())
        });
    }

    /// Quits.
    #[track_caller]
    fn ends(mut self) {
        self.session.command("Marionette:Quit", json!({ "flags": ["eAttemptQuit"] })).unwrap();
        eventually("Thunderbird ends", || match self.process.try_wait().unwrap() {
            Some(_) => Ok(()),
            None => Err("it runs".to_owned()),
        });
    }
}

impl Drop for Thunderbird {
    fn drop(&mut self) {
        for process in [&mut self.process, &mut self.display] {
            // It may have ended.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A display that nobody sees, and its number.
#[track_caller]
fn virtual_display() -> (Child, String) {
    let mut command = Command::new("Xvfb");
    command.args(["-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]);
    let mut process =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut number = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut number).unwrap();
    assert!(!number.trim().is_empty(), "Xvfb did not start: {:?}", process.try_wait());
    (process, number.trim().to_owned())
}

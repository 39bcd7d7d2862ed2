use super::*;

/// Every section and key there is.
const FULL: &str = r#"
[node]
name = "a"
data = "data"

[cluster]
listen = "0.0.0.0:7471"
advertise = "mx1.example.com:7471"
ack = "local"

[imap]
listen = ["0.0.0.0:143"]
listen_tls = ["0.0.0.0:993"]

[pop3]
listen = ["0.0.0.0:110"]
listen_tls = ["0.0.0.0:995"]

[lmtp]
listen = ["127.0.0.1:24", "unix:lmtp.sock"]

[console]
listen = "127.0.0.1:7480"

[tls]
certificate = "/etc/peerpost/fullchain.pem"
key = "key.pem"

[auth]
plaintext = "never"

[auth.oauth]
issuer = "https://id.example.com"
audience = "peerpost"
scope = "openid mail"
username_claim = "email"
introspection_url = "https://id.example.com/introspect"
client_id = "peerpost"
client_secret_file = "oauth.secret"
ca_certificate = "ca.pem"
openid_configuration = "https://id.example.com/.well-known/openid-configuration"

[limits]
append_bytes = 1_000_000
command_messages = 5_000
line_bytes = 8192
sessions = 7
idle_seconds = 1800

[uid]
on_reorder = "reissue"

[history]
retention_days = 7
"#;

fn mistake(text: &str) -> (usize, String) {
    let Mistake { line, message } = Config::parse(text).unwrap_err();
    (line, message)
}

#[test]
fn a_file_with_every_key_is_read() {
    let config = Config::parse(FULL).unwrap();
    assert_eq!(config.node.name.as_str(), "a");
    let cluster = config.cluster.unwrap();
    assert_eq!(cluster.listen.port(), 7471);
    assert_eq!(cluster.advertise.as_str(), "mx1.example.com:7471");
    assert_eq!(cluster.ack, Acknowledge::Local);
    assert_eq!(config.imap.unwrap().listen_tls, ["0.0.0.0:993".parse().unwrap()]);
    assert_eq!(config.pop3.unwrap().listen.len(), 1);
    assert_eq!(
        config.lmtp.unwrap().listen,
        [LmtpAddress::Tcp("127.0.0.1:24".parse().unwrap()), LmtpAddress::Unix("lmtp.sock".into())]
    );
    assert_eq!(config.console.unwrap().listen.port(), 7480);
    assert_eq!(config.auth.plaintext, PlaintextPasswords::Never);
    assert_eq!(config.auth.oauth.unwrap().username_claim, "email");
    assert_eq!((config.limits.append_bytes, config.limits.line_bytes), (1_000_000, 8192));
    assert_eq!(config.limits.command_messages, 5_000);
    assert_eq!((config.limits.sessions, config.limits.idle_seconds), (7, 1800));
    assert_eq!(config.uid.on_reorder, OnReorder::Reissue);
    assert_eq!(config.history.retention_days, 7);
}

#[test]
fn sections_left_out_are_off_and_keys_left_out_have_their_defaults() {
    let config = Config::parse("[node]\nname = \"a\"\ndata = \"d\"\n").unwrap();
    assert!(config.cluster.is_none() && config.imap.is_none() && config.pop3.is_none());
    assert!(config.lmtp.is_none() && config.console.is_none() && config.tls.is_none());
    assert_eq!(config.auth.plaintext, PlaintextPasswords::Loopback);
    assert_eq!(config.limits.append_bytes, 50 * 1024 * 1024);
    assert_eq!(config.history.retention_days, 90);
    assert!(config.warnings().is_empty());
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let (line, message) = mistake("[node]\nname = \"a\"\ndata = \"d\"\n\n[imap]\nlisen = []\n");
    assert_eq!(
        (line, message.as_str()),
        (6, "unknown key `lisen` in [imap]; the nearest known one is `listen`")
    );
    let (line, message) = mistake("[node]\nname = \"a\"\n\n[clutser]\nlisten = \"x\"\n");
    assert_eq!(
        (line, message.as_str()),
        (4, "unknown section `clutser`; the nearest known one is `cluster`")
    );
    let (line, message) = mistake("nmae = \"a\"\n");
    assert_eq!((line, message.as_str()), (1, "unknown key `nmae`; the nearest known one is `node`"));
}

#[test]
fn a_section_written_as_a_value_is_told_how() {
    assert_eq!(mistake("node = 3\n"), (1, "`node` is a section: write it as [node]".to_owned()));
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    assert_eq!(mistake("[node]\nname = \n").0, 2);
    assert_eq!(mistake("[node]\nname = \"a\"\nname = \"b\"\n").0, 3);
}

#[test]
fn values_that_cannot_be_are_told_with_their_line() {
    let base = "[node]\nname = \"a\"\ndata = \"d\"\n";
    for (text, wanted) in [
        ("[cluster]\nlisten = \"0.0.0.0:1\"\nadvertise = \"0.0.0.0:1\"\n", (6, "no particular machine")),
        ("[cluster]\nlisten = \"0.0.0.0:1\"\nadvertise = \"host\"\n", (6, "no port")),
        ("[cluster]\nlisten = \"0.0.0.0:1\"\nadvertise = \"ho st:1\"\n", (6, "neither a name")),
        ("[cluster]\nlisten = \"0.0.0.0:1\"\nadvertise = \"h:1\"\nack = \"peer\"\n", (7, "not offered")),
        ("[imap]\nlisten = [\"localhost\"]\n", (5, "socket address")),
        ("[history]\nretention_days = 0\n", (5, "can be 1 to 3650")),
        ("[imap]\n", (4, "listens nowhere")),
        ("[imap]\nlisten_tls = [\"0.0.0.0:993\"]\n", (5, "needs a certificate")),
        ("[lmtp]\nlisten = []\n", (5, "0 addresses")),
        ("[lmtp]\nlisten = [\"unix:\"]\n", (5, "names no path")),
        ("[tls]\nkey = \"k\"\n", (4, "certificate")),
        ("[auth]\nplaintext = \"sometimes\"\n", (5, "loopback")),
        ("[auth.oauth]\nissuer = \"i\"\n", (4, "username_claim")),
        ("[auth.oauth]\nissuer = \"i\"\nusername_claim = \"e\"\n", (5, "needs one of")),
        (
            "[auth.oauth]\nissuer = \"i\"\nusername_claim = \"e\"\njwks_url = \"https://i/k\"\njwks_file = \"f\"\n",
            (8, "has 2"),
        ),
        (
            "[auth.oauth]\nissuer = \"i\"\nusername_claim = \"e\"\njwks_url = \"https://i/k\"\n",
            (7, "need `audience`"),
        ),
        (
            "[auth.oauth]\nissuer = \"i\"\nusername_claim = \"e\"\naudience = \"a\"\njwks_url = \"http://i/k\"\n",
            (8, "https://"),
        ),
        (
            "[auth.oauth]\nissuer = \"i\"\nusername_claim = \"e\"\nintrospection_url = \"https://i/k\"\n",
            (7, "client_secret_file"),
        ),
        (
            "[auth.oauth]\nisuer = \"i\"\n",
            (5, "unknown key `isuer` in [auth.oauth]; the nearest known one is `issuer`"),
        ),
        ("[auth]\noauth = 3\n", (5, "write it as [auth.oauth]")),
        ("[limits]\n\nappend_bytes = 1\n", (6, "65536 to 1073741824")),
        ("[limits]\ncommand_messages = 999\n", (5, "1000 to 1000000")),
        ("[limits]\nidle_seconds = 10\n", (5, "1800 to 86400")),
        ("[limits]\nsessions = -1\n", (5, "-1")),
        ("[uid]\non_reorder = \"renumber\"\n", (5, "use \"reissue\" or \"bump\"")),
        ("[uid]\nreissue_limit = 0\n", (5, "it can be 1 to 100")),
    ] {
        let (line, message) = mistake(&format!("{base}{text}"));
        assert_eq!(line, wanted.0, "{text}: {message}");
        assert!(message.contains(wanted.1), "{text}: {message}");
    }
    for name in ["", "A", "a.b", "-a", "a-", &"a".repeat(64)] {
        let (line, message) = mistake(&format!("[node]\ndata = \"d\"\nname = \"{name}\"\n"));
        assert!(line == 3 && message.contains("cannot name a node"), "{line}: {message}");
    }
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.toml");
    fs::write(&file, FULL).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.file, file);
    assert_eq!(config.node.data, directory.path().join("data"));
    let oauth = config.auth.oauth.unwrap();
    assert_eq!(oauth.client_secret_file, Some(directory.path().join("oauth.secret")));
    assert_eq!(oauth.ca_certificate, Some(directory.path().join("ca.pem")));
    let tls = config.tls.unwrap();
    assert_eq!(tls.certificate, Path::new("/etc/peerpost/fullchain.pem"));
    assert_eq!(tls.key, directory.path().join("key.pem"));
    assert_eq!(config.lmtp.unwrap().listen[1], LmtpAddress::Unix(directory.path().join("lmtp.sock")));
}

#[test]
fn errors_name_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("absent.toml");
    let error = Config::load(&file).unwrap_err().to_string();
    assert!(error.contains("absent.toml") && error.contains("--config"), "{error}");
    fs::write(&file, "[node]\nnane = 1\n").unwrap();
    let error = Config::load(&file).unwrap_err().to_string();
    assert!(error.contains("absent.toml:2: unknown key `nane` in [node]"), "{error}");
}

#[test]
fn services_that_are_not_there_yet_are_warned_of() {
    let warnings = Config::parse(FULL).unwrap().warnings();
    assert!(warnings.iter().any(|warning| warning.contains("[console]")));
}

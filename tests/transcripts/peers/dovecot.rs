//! Dovecot (Debian: dovecot-imapd).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Peer, directory, is_root, make, owner};
use crate::kit::ports::free_address;
use crate::kit::programs::Program;
use crate::transcripts::document::Target;
use crate::transcripts::fixture;
use crate::transcripts::server::{Account, Server};
use crate::transcripts::tokens::{CLAIM, ISSUER, KEY, SCOPE, Tokens};

pub const DOVECOT: Program = Program { name: "dovecot", package: "dovecot-imapd" };

const PASSWORD: &str = "pass";

/// The program, where it is installed; daemons are not always on the path.
pub fn find() -> Option<PathBuf> {
    ["/usr/sbin/dovecot", "/usr/local/sbin/dovecot"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.is_file())
}

/// An instance with any number of accounts, which come into being when they log in.
pub fn start(program: &PathBuf) -> (Peer, Server) {
    let (directory, imap) = (directory(), free_address());
    // Debian has them in packages of their own: dovecot-pop3d, dovecot-lmtpd.
    let speaks = |protocol: &str| Path::new("/usr/lib/dovecot").join(protocol).is_file().then(free_address);
    let (pop3, lmtp) = (speaks("pop3"), speaks("lmtp"));
    let home = directory.path().display().to_string();
    make(&directory.path().join("mail"));
    let (user, group) = owner();
    // Without root no user can be changed to: everything runs as whoever starts it.
    let unprivileged = match is_root() {
        true => String::new(),
        false => format!(
            "default_login_user = {user}\ndefault_internal_user = {user}\ndefault_internal_group = {group}\n\
             service anvil {{\n  chroot =\n}}\nservice imap-login {{\n  chroot =\n}}\n"
        ),
    };
    let mut protocols = "protocols = imap".to_owned();
    let mut listeners = String::new();
    for (name, service, address) in [("pop3", "pop3-login", pop3), ("lmtp", "lmtp", lmtp)] {
        let Some(address) = address else { continue };
        protocols.push_str(&format!(" {name}"));
        let port = address.port();
        let listener = format!("  inet_listener {name} {{\n    port = {port}\n  }}\n");
        let tls = if name == "pop3" { "  inet_listener pop3s {\n    port = 0\n  }\n" } else { "" };
        listeners.push_str(&format!("service {service} {{\n{listener}{tls}}}\n"));
    }
    let tokens = Tokens::default();
    let text = format!(
        "{protocols}\n{listeners}listen = 127.0.0.1\nbase_dir = {home}/run\nstate_dir = {home}/state\nlog_path = {home}/log\n\
         ssl = no\n{}\
         mail_home = {home}/mail/%n\nmail_location = sdbox:~/sdbox\nmail_fsync = never\nfirst_valid_uid = 1\n\
         mail_max_userip_connections = 1000\nmail_attribute_dict = file:%h/attributes\n\
         userdb {{\n  driver = static\n  args = uid={user} gid={group} home={home}/mail/%n allow_all_users=yes\n}}\n\
         namespace inbox {{\n  inbox = yes\n  separator = /\n}}\n\
         service imap-login {{\n  inet_listener imap {{\n    port = {}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
         service imap {{\n  process_limit = 1000\n}}\nservice stats {{\n  unix_listener stats-writer {{\n    mode = 0666\n  }}\n}}\n\
         {unprivileged}",
        authentication(directory.path(), &tokens),
        imap.port()
    );
    let file = directory.path().join("dovecot.conf");
    fs::write(&file, text).unwrap();
    let mut command = Command::new(program);
    command.arg("-F").arg("-c").arg(&file);
    command.env("TZ", "UTC");
    let (peer, tokens) = (Peer::start(command, directory, imap), Some(tokens));
    let count = AtomicU32::new(0);
    let accounts = move || Account {
        name: format!("c{}", count.fetch_add(1, Ordering::Relaxed)),
        password: PASSWORD.to_owned(),
    };
    let (accounts, capabilities) = (Box::new(accounts), Vec::new());
    let mut server =
        Server { target: Target::Dovecot, imap, pop3, lmtp, accounts, quotas: None, tokens, capabilities };
    server.capabilities = fixture::capabilities(&server).unwrap();
    (peer, server)
}

/// Who is let in, and by what. Nobody is kept waiting for what others got wrong.
fn authentication(directory: &Path, tokens: &Tokens) -> String {
    let home = directory.display();
    let keys = directory.join("keys/default/ES256");
    make(&keys);
    fs::write(keys.join(KEY), tokens.pem()).unwrap();
    let oauth = format!(
        "introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={home}/keys/\n\
         issuers = {ISSUER}\nscope = {SCOPE}\nusername_attribute = {CLAIM}\n\
         openid_configuration_url = {ISSUER}/.well-known/openid-configuration\n"
    );
    fs::write(directory.join("oauth.conf"), oauth).unwrap();
    format!(
        "disable_plaintext_auth = no\nauth_mechanisms = plain scram-sha-256 oauthbearer xoauth2\n\
         auth_failure_delay = 0\nservice anvil {{\n  unix_listener anvil-auth-penalty {{\n    mode = 0\n  }}\n}}\n\
         passdb {{\n  driver = oauth2\n  mechanisms = oauthbearer xoauth2\n  args = {home}/oauth.conf\n}}\n\
         passdb {{\n  driver = static\n  mechanisms = plain login scram-sha-256\n  args = password={PASSWORD}\n}}\n"
    )
}

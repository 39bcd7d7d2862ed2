//! The command line.
//!
//! Exit status: 0 done, 1 the thing asked for failed, 2 wrong usage (told by the parser).

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config;
use crate::control::Limit;

/// A mail store that several nodes serve at the same time.
#[derive(Debug, Parser)]
#[command(name = "peerpost", version, disable_help_subcommand = true)]
pub struct Arguments {
    /// The configuration of this node.
    #[arg(long, global = true, value_name = "FILE", default_value = config::DEFAULT_FILE)]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Two nodes on loopback: mail on both, a cut, a merge, told step by step; stays up for your own mail client.
    Demo {
        /// End when the story is told; fail if the two sides differ.
        #[arg(long)]
        exit: bool,
    },
    /// Make the data directory and the node's key: the first node of a new cluster.
    Init,
    /// Let nodes find each other.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Run the node in the foreground; prints `ready` when every listener answers; SIGTERM ends it cleanly.
    Serve,
    /// Manage accounts, on every node.
    #[command(subcommand)]
    User(UserCommand),
    /// This node, its peers, how far they are apart, storage, warnings.
    Status {
        #[command(flatten)]
        output: Output,
    },
    /// What was merged, when, from where; what was reissued or bumped, and why.
    History {
        /// The account.
        account: String,
        /// One mailbox alone; a hierarchy uses `/`.
        mailbox: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// The life of one message: accepted where, placed by whom, reissued why, flags by whom.
    Explain {
        /// The account.
        account: String,
        /// The mailbox; a hierarchy uses `/`.
        mailbox: String,
        /// The UID a client shows, now or formerly.
        uid: NonZeroU32,
        #[command(flatten)]
        output: Output,
    },
    /// Give a mailbox a new UIDVALIDITY: every client downloads it again.
    Bump {
        /// The account.
        account: String,
        /// The mailbox; a hierarchy uses `/`.
        mailbox: String,
        #[command(flatten)]
        output: Output,
    },
    /// Compare documents with views and bodies; exit status 1 and a list where they differ.
    Verify {
        /// Make the views again from the documents where they differ.
        #[arg(long)]
        repair: bool,
        #[command(flatten)]
        output: Output,
    },
}

/// Let nodes find each other.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Print one line, a token that admits one node.
    Invite {
        #[command(flatten)]
        output: Output,
    },
    /// On a fresh node, instead of `init` and before `serve`: join, and fetch what is needed to start.
    Join {
        /// What `cluster invite` printed on a node of the cluster.
        token: String,
    },
    /// Declare a member dead that will not come back, so that the others need not wait for it. It may never serve again under its
    /// old directory: its successor joins as a new node.
    Remove {
        /// Its name, as `status` shows it.
        name: String,
        /// Its slot, where two members have one name.
        #[arg(long)]
        slot: Option<u8>,
    },
}

/// Manage accounts, on every node.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add an account.
    Add {
        /// Its name: what LMTP recipients and logins use.
        name: String,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List the accounts.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Give an account another password.
    Passwd {
        /// Its name.
        name: String,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Show what an account holds and may hold, or bound it. What it holds already stays.
    Quota {
        /// Its name.
        name: String,
        /// The most octets of all its messages, such as 500M or 10G (units of 1024), or `none`.
        #[arg(long, value_name = "SIZE", value_parser = limit)]
        storage: Option<Limit>,
        /// The most messages, or `none`.
        #[arg(long, value_name = "COUNT", value_parser = limit)]
        messages: Option<Limit>,
        #[command(flatten)]
        output: Output,
    },
    /// Remove an account with all its mail, on every node.
    Remove {
        /// Its name.
        name: String,
    },
    /// Passwords for single programs and devices, besides that of the account.
    #[command(subcommand)]
    AppPassword(AppPasswordCommand),
}

/// Passwords for single programs and devices.
#[derive(Debug, Subcommand)]
pub enum AppPasswordCommand {
    /// Make one and print it: it is shown this once.
    Add {
        /// The account.
        name: String,
        /// What it is for, such as "phone".
        #[arg(long)]
        label: String,
        #[command(flatten)]
        output: Output,
    },
    /// List those of an account; the passwords themselves are not known any more.
    List {
        /// The account.
        name: String,
        #[command(flatten)]
        output: Output,
    },
    /// Remove one, on every node and for ever.
    Remove {
        /// The account.
        name: String,
        /// Its id or its label, as the list has them.
        which: String,
    },
}

/// A number, perhaps with K, M, G or T for powers of 1024; or `none`.
fn limit(text: &str) -> Result<Limit, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Limit::Unlimited);
    }
    let units = [("K", 1u64 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40)];
    let upper = text.to_ascii_uppercase();
    let unit = units.iter().find_map(|(name, factor)| Some((upper.strip_suffix(name)?, *factor)));
    let (digits, factor) = unit.unwrap_or((&upper, 1));
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    number.map(Limit::Most).ok_or_else(|| "use a number such as 1000, 500M or 10G, or `none`".to_owned())
}

/// Where a password comes from; never from the command line, which others can read.
#[derive(Debug, Args)]
pub struct PasswordSource {
    /// Read the password from standard input: its first line.
    #[arg(long, required = true)]
    pub password_stdin: bool,
}

/// How to print what was read.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("peerpost").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_is_understood() {
        for line in [
            "demo",
            "demo --exit",
            "init",
            "cluster invite",
            "cluster join TOKEN",
            "cluster remove fra",
            "cluster remove fra --slot 3",
            "bump alice INBOX --json",
            "serve",
            "user add alice --password-stdin",
            "user list",
            "user list --json",
            "user quota alice",
            "user quota alice --storage 10G --messages none --json",
            "user passwd alice --password-stdin",
            "user remove alice",
            "user app-password add alice --label phone",
            "user app-password add alice --label phone --json",
            "user app-password list alice --json",
            "user app-password remove alice phone",
            "status --json",
            "history alice",
            "history alice INBOX --json",
            "explain alice INBOX 4 --json",
            "verify",
            "verify --repair --json",
        ] {
            if let Err(error) = parse(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn the_configuration_is_named_before_or_after_the_command() {
        assert_eq!(parse("serve").unwrap().config, Path::new("/etc/peerpost/peerpost.toml"));
        assert_eq!(parse("--config a.toml serve").unwrap().config, Path::new("a.toml"));
        assert_eq!(parse("cluster invite --config a.toml").unwrap().config, Path::new("a.toml"));
    }

    #[test]
    fn wrong_usage_has_exit_status_2() {
        for line in ["", "sevre", "user add alice", "explain alice INBOX 0", "cluster join", "status --jsn"] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("--help").unwrap_err().kind(), ErrorKind::DisplayHelp);
    }
}

//! A maildir tree, changed the way a mail reader does that knows nothing of IMAP.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::world::Expected;

/// One directory for each mailbox.
pub struct Maildir {
    root: PathBuf,
}

impl Maildir {
    pub fn new(root: PathBuf) -> Self {
        fs::create_dir_all(&root).unwrap();
        Self { root }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The files of all messages with their contents, but for the state that the client keeps beside them.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut directories = vec![self.root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else if path
                    .parent()
                    .is_some_and(|parent| parent.ends_with("cur") || parent.ends_with("new"))
                {
                    files.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        files
    }

    /// The Message-IDs and the flags in a mailbox, sorted; one line for each file.
    pub fn shows(&self, mailbox: &str) -> Vec<(String, String)> {
        let files = self.files();
        let inside = files.iter().filter(|(path, _)| path.starts_with(self.root.join(mailbox)));
        let mut shown: Vec<_> = inside.map(|(path, octets)| (id(octets), flags(path))).collect();
        shown.sort();
        shown
    }

    /// Whether a mailbox has a message.
    pub fn has(&self, mailbox: &str, id: &str) -> bool {
        self.shows(mailbox).iter().any(|(shown, _)| shown == id)
    }

    /// Removes the file of a message.
    #[track_caller]
    pub fn remove(&self, mailbox: &str, id: &str) {
        fs::remove_file(self.file(mailbox, id)).unwrap();
    }

    /// Sets a flag: `S`een, `F`lagged, `T`rashed.
    #[track_caller]
    pub fn flag(&self, mailbox: &str, id: &str, flag: char) {
        let path = self.file(mailbox, id);
        let name = path.file_name().unwrap().to_str().unwrap();
        let stem = name.split_once(":2,").map_or(name, |(stem, _)| stem);
        let mut flags: Vec<char> = flags(&path).chars().chain([flag]).collect();
        flags.sort_unstable();
        let new = format!("{stem}:2,{}", flags.into_iter().collect::<String>());
        fs::rename(&path, self.root.join(mailbox).join("cur").join(new)).unwrap();
    }

    /// Moves a message, under a new name: the old one may tell the UID that it had.
    #[track_caller]
    pub fn take(&self, mailbox: &str, id: &str, to: &str) {
        let path = self.file(mailbox, id);
        let new = format!("1736157600.moved-{id}.example:2,{}", flags(&path));
        fs::rename(&path, self.root.join(to).join("cur").join(new)).unwrap();
    }

    #[track_caller]
    fn file(&self, mailbox: &str, wanted: &str) -> PathBuf {
        let files = self.files();
        let mut found = files
            .into_iter()
            .filter(|(path, octets)| path.starts_with(self.root.join(mailbox)) && id(octets) == wanted);
        let (path, _) = found.next().unwrap_or_else(|| panic!("{wanted} is not in {mailbox}"));
        path
    }
}

/// What [`Maildir::shows`] has to tell of a mailbox that shows this to clients of IMAP.
pub fn synced(expected: Expected) -> Vec<(String, String)> {
    let letter = |flag: &str| match flag {
        "\\Answered" => 'R',
        "\\Flagged" => 'F',
        "\\Seen" => 'S',
        other => panic!("{other:?}"),
    };
    let letters = |flags: &str| {
        let mut letters: Vec<char> = flags.split_whitespace().map(letter).collect();
        letters.sort_unstable();
        letters.into_iter().collect()
    };
    let mut shown: Vec<_> = expected.iter().map(|(id, flags)| ((*id).to_owned(), letters(flags))).collect();
    shown.sort();
    shown
}

fn id(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets).into_owned();
    let header = text.split("Message-ID: <").nth(1).unwrap_or_default();
    header.split('@').next().unwrap_or_default().to_owned()
}

fn flags(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    name.split_once(":2,").map(|(_, flags)| flags.to_owned()).unwrap_or_default()
}

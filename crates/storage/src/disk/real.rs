//! A directory of the machine's own file system.

use std::fs::{DirBuilder, File as StandardFile, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Create, Disk, File};

const LOCK_FILE: &str = "lock";
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A directory on the machine's disk, locked for as long as this value lives.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    /// The lock goes with the handle: the system releases it when the process ends, however it ends.
    _lock: StandardFile,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process (or another [`RealDisk`] of this one) holds the directory.
    #[error("{} is in use by another process: stop it, or talk to it, before opening the store here", .0.display())]
    InUse(PathBuf),
    /// The directory cannot be created, or its lock file cannot be opened.
    #[error("cannot prepare {} as a store directory: {source}", .directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RealDisk {
    /// Opens a directory, creating it (mode 0700, parents included) where it is missing, and locks it.
    ///
    /// # Errors
    /// [`LockError::InUse`] where somebody else has it open, at once and without waiting.
    pub fn open(directory: impl AsRef<Path>) -> Result<RealDisk, LockError> {
        let root = directory.as_ref().to_path_buf();
        let failed = |source| LockError::Directory { directory: root.clone(), source };
        create_durably(&root).map_err(failed)?;
        let lock = file_options(Create::IfMissing).open(root.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(RealDisk { root, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse(root)),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.root
    }

    /// Refuses names that would leave the directory: names come from this crate alone, so this is a second lock.
    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let plain = |part: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(known)
        };
        if name.is_empty() {
            return Ok(self.root.clone());
        }
        if name.split('/').count() > 2 || !name.split('/').all(plain) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("not a plain file name: {name:?}"),
            ));
        }
        Ok(self.root.join(name))
    }
}

/// Creates a directory and what is missing above it, and syncs the directory that holds each new name: a store whose
/// own directory is lost with the power has kept nothing.
fn create_durably(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_durably(parent)?;
    match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
        other => other?,
    }
    StandardFile::open(parent)?.sync_all()
}

fn file_options(create: Create) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).truncate(false).mode(FILE_MODE);
    match create {
        Create::Never => &mut options,
        Create::IfMissing => options.create(true),
        Create::New => options.create_new(true),
    };
    options
}

impl Disk for RealDisk {
    fn open(&self, name: &str, create: Create) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(RealFile(file_options(create).open(self.path(name)?)?)))
    }

    fn create_directory(&self, name: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(self.path(name)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from)?, self.path(to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name)?)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.path(directory)?)? {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn sync_directory(&self, directory: &str) -> io::Result<()> {
        StandardFile::open(self.path(directory)?)?.sync_all()
    }
}

struct RealFile(StandardFile);

impl File for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_second_opener_is_refused_until_the_first_lets_go() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("new/node");
        let first = RealDisk::open(&directory).unwrap();
        assert!(matches!(RealDisk::open(&directory), Err(LockError::InUse(_))));
        drop(first);
        RealDisk::open(&directory).unwrap();
        let mode = std::fs::metadata(&directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, DIRECTORY_MODE);
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        let parent = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(parent.path()).unwrap();
        for name in ["../x", "/etc/passwd", "packs/../x", "a/b/c", "packs/", ".hidden", "a b"] {
            let refused = disk.open(name, Create::IfMissing).err().unwrap();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{name}");
        }
    }

    #[test]
    fn files_are_written_read_renamed_and_listed() {
        let parent = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(parent.path()).unwrap();
        disk.create_directory("packs").unwrap();
        disk.create_directory("packs").unwrap();
        let file = disk.open("packs/2", Create::New).unwrap();
        assert!(disk.open("packs/2", Create::New).is_err());
        file.write_at(3, b"abc").unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.len().unwrap(), 6);
        disk.rename("packs/2", "packs/1").unwrap();
        disk.open("packs/3", Create::IfMissing).unwrap();
        disk.sync_directory("packs").unwrap();
        assert_eq!(disk.list("packs").unwrap(), ["1", "3"]);
        let mut buffer = [9; 6];
        file.read_at(0, &mut buffer).unwrap();
        assert_eq!(&buffer, b"\0\0\0abc");
        assert_eq!(file.read_at(4, &mut buffer).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}

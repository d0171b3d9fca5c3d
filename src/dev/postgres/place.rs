//! The folder of a cluster, and its owner.
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use super::user::{User, command_as};
use super::{ClusterError, at, beside};

/// The cluster's folder, and its owner if that is not us.
#[derive(Debug)]
pub(super) struct Place {
    pub base: PathBuf,
    /// `None`: we are not root, and all is ours.
    pub user: Option<User>,
}

impl Place {
    /// Chooses the folder for the cluster of `dir` and creates it. For root it may be another folder: PostgreSQL then runs as
    /// another user, who must be able to enter it.
    pub fn of(dir: &Path) -> Result<Self, ClusterError> {
        let us = own_uid(dir)?;
        let owner = fs::metadata(dir.join("data")).ok().map(|data| User { uid: data.uid(), gid: data.gid() });
        let place = match owner {
            Some(owner) if us == owner.uid => Self { base: dir.to_owned(), user: None },
            Some(owner) if us == 0 => Self { base: dir.to_owned(), user: Some(owner) },
            Some(owner) => {
                return Err(ClusterError::WrongOwner { dir: dir.join("data"), owner: owner.uid });
            }
            None if us == 0 => Self::for_root(dir)?,
            None => Self { base: dir.to_owned(), user: None },
        };
        match place.base.to_str() {
            Some(path) if !path.contains(['"', '\'', '$', '`', '\\', '\n']) => {}
            _ => return Err(ClusterError::Path(place.base)),
        }
        place.make_dir(&place.base)?;
        Ok(place)
    }

    fn for_root(dir: &Path) -> Result<Self, ClusterError> {
        let passwd = fs::read_to_string("/etc/passwd").map_err(at("read", Path::new("/etc/passwd")))?;
        let user = ["postgres", "nobody"].into_iter().find_map(|name| user_in(&passwd, name)).ok_or(ClusterError::NoUser)?;
        let near = dir.parent().unwrap_or(dir);
        if can_enter(user, near) {
            return Ok(Self { base: dir.to_owned(), user: Some(user) });
        }
        let base = elsewhere(dir)?;
        let note = beside(dir, "-is-elsewhere.txt");
        let text = format!(
            "PostgreSQL does not run as root, and the user that runs it (uid {}) cannot enter this folder.\nThe data are in {}\n",
            user.uid,
            base.display()
        );
        fs::write(&note, text).map_err(at("write", &note))?;
        tracing::info!(data = %base.display(), "the database lies outside of {}: its user cannot enter that folder", near.display());
        // Existing data keep their owner.
        let owner = fs::metadata(base.join("data")).ok().map(|data| User { uid: data.uid(), gid: data.gid() });
        Ok(Self { base, user: Some(owner.unwrap_or(user)) })
    }

    pub fn data(&self) -> PathBuf {
        self.base.join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.base.join("postgres.log")
    }

    /// Writes a small file of the cluster, for its owner alone and atomically.
    pub fn write(&self, name: &str, text: &str) -> Result<(), ClusterError> {
        let path = self.base.join(name);
        let new = beside(&path, ".new");
        let written = (|| {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            writeln!(file, "{text}")?;
            file.sync_all()?;
            self.own(&new)?;
            fs::rename(&new, &path)
        })();
        written.map_err(at("write", &path))
    }

    /// Creates a folder for the cluster's owner alone, if it is not there.
    pub fn make_dir(&self, dir: &Path) -> Result<(), ClusterError> {
        let made = match fs::DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
            made => made,
        };
        made.and_then(|()| self.own(dir)).map_err(at("create", dir))
    }

    fn own(&self, path: &Path) -> io::Result<()> {
        self.user.map_or(Ok(()), |user| chown(path, Some(user.uid), Some(user.gid)))
    }
}

/// Our uid. The standard library does not give it, so a new file is asked for its owner.
fn own_uid(dir: &Path) -> Result<u32, ClusterError> {
    let probe = beside(dir, &format!(".probe-{}", std::process::id()));
    let file = fs::File::create(&probe).map_err(at("write", &probe))?;
    let uid = file.metadata().map_err(at("read", &probe))?.uid();
    fs::remove_file(&probe).map_err(at("remove", &probe))?;
    Ok(uid)
}

/// A folder that every user can enter, the same one for the same `dir`.
fn elsewhere(dir: &Path) -> Result<PathBuf, ClusterError> {
    let name = format!("{:016x}", fnv1a(dir.as_os_str().as_encoded_bytes()));
    let lib = Path::new("/var/lib/vitrine-dev");
    let parent = if roots_own(lib).is_ok() { lib } else { Path::new("/var/tmp/vitrine-dev") };
    roots_own(parent).map_err(at("create", parent))?;
    Ok(parent.join(name))
}

/// Creates a folder of root's, or takes an existing one if root owns it: anybody can write to /var/tmp.
fn roots_own(dir: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o755).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(dir)?;
            if found.is_dir() && found.uid() == 0 { Ok(()) } else { Err(error) }
        }
        // Sets the mode again: under a strict umask the other user could not enter.
        made => made.and_then(|()| fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o755))),
    }
}

fn can_enter(user: User, dir: &Path) -> bool {
    let mut sh = command_as(Path::new("/bin/sh"), Some(user));
    sh.args(["-c", "cd \"$1\"", "sh"]).arg(dir).output().is_ok_and(|output| output.status.success())
}

/// The 64-bit FNV-1a hash. The standard library's hash may change between versions of Rust, and the data would not be found.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A user's ids from the text of /etc/passwd. Never root's: PostgreSQL refuses it.
fn user_in(passwd: &str, name: &str) -> Option<User> {
    // macOS writes nobody's ids as -2.
    let id = |field: &str| field.parse::<u32>().ok().or_else(|| field.parse::<i32>().ok().map(i32::cast_unsigned));
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let user = User { uid: id(fields.nth(1)?)?, gid: id(fields.next()?)? };
        (user.uid != 0).then_some(user)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n# a comment\npostgresql:x:9:9::/:/bin/sh\n\
        postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\nnobody:*:-2:-2:Nobody:/var/empty:/usr/bin/false\n";

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        assert_eq!(user_in(PASSWD, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(user_in(PASSWD, "post"), None);
    }

    #[test]
    fn negative_ids_wrap_as_the_kernel_has_them() {
        assert_eq!(user_in(PASSWD, "nobody"), Some(User { uid: 4_294_967_294, gid: 4_294_967_294 }));
    }

    #[test]
    fn root_and_broken_lines_are_no_user() {
        assert_eq!(user_in(PASSWD, "root"), None);
        assert_eq!(user_in("nobody:x:abc:1::/:/bin/sh", "nobody"), None);
        assert_eq!(user_in("nobody:x", "nobody"), None);
    }

    #[test]
    fn the_folder_elsewhere_keeps_its_name_forever() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}

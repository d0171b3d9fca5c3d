//! The user that PostgreSQL's tools run as, and a call of one of them.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A user that PostgreSQL's tools run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub uid: u32,
    pub gid: u32,
}

/// A call that depends on nothing of ours: not the current folder (the other user may not be able to enter it, and it
/// may go away), not the locale, not our `PG…` variables; and that a Ctrl-C meant for us does not reach.
pub(super) fn command_as(program: &Path, user: Option<User>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null()).process_group(0);
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name);
    }
    if let Some(User { uid, gid }) = user {
        command.uid(uid).gid(gid);
    }
    command
}

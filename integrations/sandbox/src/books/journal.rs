//! The books on disk: JSON lines, only ever appended. A line is one whole write, so a kill tears at most the last.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
}

#[derive(Deserialize)]
pub(crate) struct Line {
    pub(crate) kind: String,
    pub(crate) entity: Box<RawValue>,
}

#[derive(Serialize)]
struct NewLine<'a, T> {
    kind: &'a str,
    id: &'a str,
    entity: &'a T,
}

impl Journal {
    /// Reads every whole line, cuts a torn last one off, and stays open for more.
    /// A broken line in the middle is damage, and an error; so is a second sandbox on the same file.
    pub(crate) fn open(path: &Path, mut replay: impl FnMut(&Line) -> serde_json::Result<()>) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        file.try_lock().map_err(|error| io::Error::new(io::ErrorKind::WouldBlock, format!("the journal is in use: {error}")))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        for (at, line) in text[..whole].split(|&b| b == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            serde_json::from_slice::<Line>(line).and_then(|line| replay(&line)).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}, line {}: {error}", path.display(), at + 1))
            })?;
        }
        if whole < text.len() {
            file.set_len(whole as u64)?;
            file.seek(SeekFrom::End(0))?;
        }
        Ok(Self { file })
    }

    pub(crate) fn append<T: Serialize>(&mut self, kind: &str, id: &str, entity: &T) -> io::Result<()> {
        let mut line = serde_json::to_vec(&NewLine { kind, id, entity })?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

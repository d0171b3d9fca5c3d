//! Tables of law that are part of the program: CSV with a header; lines that begin with `#` are comments.

use csv::ReaderBuilder;
use serde::de::DeserializeOwned;

/// All rows. A table is compiled in, and a test reads each: only a change of the file can break it.
pub fn read<T: DeserializeOwned>(text: &str) -> Vec<T> {
    let mut reader = ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
    reader.deserialize().collect::<Result<_, _>>().expect("a test reads every table")
}

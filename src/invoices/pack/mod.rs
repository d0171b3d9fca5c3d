//! A month for the accountant: every XML, sums by CFOP and by tax, and whether they agree with the ledger. Written as a ZIP piece by
//! piece: memory does not grow with the month.

mod check;
mod entry;
mod sums;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use deadpool_postgres::Pool;
use futures_util::{Stream, TryStreamExt, stream};
use jiff::Timestamp;
use jiff::civil::Date;
use vitrine_kit::nfe::Environment;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, ZipWriter};

use self::check::Check;
use self::sums::Sums;
use crate::calendar;
use crate::config::Config;
use crate::db::{self, Patience};
use crate::error::{Error, Result};
use crate::ids::InvoiceId;

/// A month of the shop's calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month {
    first: Date,
}

impl Month {
    /// `2026-11`. `None`: it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-').filter(|(year, month)| year.len() == 4 && month.len() == 2)?;
        Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok().map(|first| Self { first })
    }

    /// From its first midnight to the next month's.
    fn bounds(self) -> Result<(Timestamp, Timestamp)> {
        let midnight = |day: Date| day.to_zoned(calendar::zone()).map(|zoned| zoned.timestamp());
        let next = self.first.last_of_month().tomorrow();
        let bounds = next.and_then(|next| Ok((midnight(self.first)?, midnight(next)?)));
        bounds.map_err(|e| Error::Internal(format!("the month {self} has no bounds: {e}")))
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.first.year(), self.first.month())
    }
}

/// What the ZIP writes, until it is taken.
#[derive(Debug, Clone, Default)]
struct Outbox(Arc<Mutex<Vec<u8>>>);

impl Outbox {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Outbox {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where a month is read.
#[derive(Debug, Clone)]
pub struct Books {
    pub pool: Pool,
    /// Whether its invoices have fiscal value.
    pub environment: Environment,
}

struct Pack {
    books: Books,
    month: Month,
    within: (Timestamp, Timestamp),
    outbox: Outbox,
    zip: ZipWriter<StreamWriter<Outbox>>,
    sums: Sums,
    after: Option<InvoiceId>,
}

/// The ZIP, piece by piece. No connection is held while the receiver reads.
pub async fn pieces(books: Books, month: Month) -> Result<impl Stream<Item = Result<Bytes>> + use<>> {
    let outbox = Outbox::default();
    let zip = ZipWriter::new_stream(outbox.clone());
    let pack = Pack { within: month.bounds()?, books, month, outbox, zip, sums: Sums::default(), after: None };
    let first = pack.step().await?; // before the answer starts, so that a database error is an error, not a cut file
    Ok(stream::try_unfold(Some(first), |at| async move {
        let Some((piece, pack)) = at else { return Ok(None) };
        let next = match pack {
            Some(pack) => Some(pack.step().await?),
            None => None,
        };
        Ok(Some((piece, next)))
    }))
}

/// The command: writes the month's ZIP into a file. Says what it holds and whether it agrees with the ledger; exit 1 if it does not.
///
/// Errors: not a month, a file that cannot be written, or the database.
pub async fn run(config: &Config, month: &str, out: &Path) -> Result<ExitCode> {
    let month = Month::parse(month).ok_or_else(|| Error::field("month", "is no month: write it as 2026-11"))?;
    let unwritten = |e: std::io::Error| Error::Internal(format!("{} was not written: {e}", out.display()));
    let books = Books { pool: db::pool(&config.database, Patience::Command)?, environment: config.nfe.environment };
    let mut file = std::fs::File::create(out).map_err(unwritten)?;
    let mut pieces = std::pin::pin!(pieces(books.clone(), month).await?);
    while let Some(piece) = pieces.try_next().await? {
        file.write_all(&piece).map_err(unwritten)?;
    }
    let within = month.bounds()?;
    let check = Check::of(&books.pool.get().await?, books.environment, within).await?;
    println!("{}: {}", out.display(), check.verdict());
    Ok(if check.agrees() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Pack {
    /// The next piece, and what goes on after it.
    async fn step(mut self) -> Result<(Bytes, Option<Self>)> {
        let db = self.books.pool.get().await?;
        let entries = entry::list(&db, self.books.environment, self.within, self.after).await?;
        drop(db);
        for entry in &entries {
            for (name, bytes) in entry.files() {
                self.add(&name, bytes)?;
            }
            self.sums.add(entry);
        }
        self.after = entries.last().map(|entry| entry.id);
        if (entries.len() as i64) < entry::PAGE {
            return self.end().await.map(|piece| (piece, None));
        }
        Ok((self.outbox.take(), Some(self)))
    }

    /// The sums, the comparison with the ledger, and the ZIP's own end.
    async fn end(mut self) -> Result<Bytes> {
        let check = Check::of(&self.books.pool.get().await?, self.books.environment, self.within).await?;
        let texts = [
            ("somas-por-cfop.csv", self.sums.by_cfop()?),
            ("somas-por-imposto.csv", self.sums.by_tax()?),
            ("conferencia.csv", check.lines(&self.sums)?),
            ("LEIAME.txt", check.in_words(self.month, &self.sums)),
        ];
        for (name, text) in texts {
            self.add(name, text.as_bytes())?;
        }
        let outbox = self.outbox.clone();
        self.zip.finish().map_err(failed)?;
        Ok(outbox.take())
    }

    fn add(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        // Always the same bytes for the same month.
        let options =
            SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).last_modified_time(DateTime::default());
        self.zip.start_file(name, options).map_err(failed)?;
        self.zip.write_all(bytes).map_err(|e| Error::Internal(format!("the ZIP was not written: {e}")))
    }
}

fn failed(error: zip::result::ZipError) -> Error {
    Error::Internal(format!("the ZIP was not written: {error}"))
}

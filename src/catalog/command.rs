//! `vitrine import` and `vitrine export`: the product table as a file, by the rules of the administration's routes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;

use actix_web::web::Data;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};

use super::export::{self, Form};
use super::import::{self, MAX_BODY, Stock};
use super::imports::Imported;
use crate::app::App;
use crate::cause::{self, Actor};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::progress::Progress;

const IMPORT: &str = "import";
/// Where a file's name may stand: standard input.
const STDIN: &str = "-";

/// Imports the table in a file, or on standard input where it is called `-`. Says what came of it.
///
/// Errors: a table that is refused, with every bad line; a file that cannot be read; the database.
pub async fn import(config: Config, file: &Path, stock: Stock, progress: &Progress) -> Result<()> {
    let sheet = import::read(&read_file(file)?)?;
    let app = App::open(config).await?;
    let bar = progress.bar("importing products", sheet.products.len());
    let work = import::run(&app, sheet, stock, Actor::Command(IMPORT), &bar);
    let Imported { products, variants, categories, created, updated, stock_kept, .. } =
        cause::scope("command", IMPORT, work).await?.imported;
    drop(bar);
    println!("{products} product(s) with {variants} variant(s) in {categories} categories: {created} new, {updated} changed");
    if stock_kept > 0 {
        println!("{stock_kept} variant(s) kept a stock that differs from the table's: --set-stock takes the table's");
    }
    Ok(())
}

fn read_file(file: &Path) -> Result<Vec<u8>> {
    let unread = |e: io::Error| Error::Internal(format!("{} was not read: {e}", file.display()));
    let mut body = Vec::new();
    let source: Box<dyn Read> =
        if file == Path::new(STDIN) { Box::new(io::stdin()) } else { Box::new(File::open(file).map_err(unread)?) };
    source.take(MAX_BODY as u64 + 1).read_to_end(&mut body).map_err(unread)?;
    if body.len() > MAX_BODY { Err(Error::field("file", "is larger than 10 MB: import it in parts")) } else { Ok(body) }
}

/// Writes all products into a file, whole or not at all, or to standard output.
///
/// Errors: a file that cannot be written; the database.
pub async fn export(config: Config, file: Option<&Path>, form: Form) -> Result<()> {
    let lines = export::lines(Data::new(App::open(config).await?), form).await?;
    let Some(file) = file else {
        return write(lines, &mut io::stdout(), Path::new("standard output")).await;
    };
    let part = PathBuf::from(format!("{}.part", file.display()));
    let unwritten = |e: io::Error| Error::Internal(format!("{} was not written: {e}", file.display()));
    let mut out = File::create(&part).map_err(unwritten)?;
    let outcome = match write(lines, &mut out, file).await {
        Ok(()) => out.sync_all().and_then(|()| fs::rename(&part, file)).map_err(unwritten),
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        let _ = fs::remove_file(&part); // the error is what matters
    }
    outcome
}

async fn write(lines: impl Stream<Item = Result<Bytes>>, out: &mut impl Write, name: &Path) -> Result<()> {
    let unwritten = |e: io::Error| Error::Internal(format!("{} was not written: {e}", name.display()));
    let mut lines = pin!(lines);
    while let Some(page) = lines.try_next().await? {
        out.write_all(&page).map_err(unwritten)?;
    }
    out.flush().map_err(unwritten)
}

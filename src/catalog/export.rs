//! The catalog as CSV. Importing it again changes nothing, also after a spreadsheet saved it. Read page by page, so that memory does not grow with the shop.

use std::collections::HashMap;

use actix_web::web::Data;
use bytes::Bytes;
use futures_util::{Stream, stream};
use uuid::Uuid;

use super::cell::{escape, guarded, of_labels};
use super::columns::COLUMNS;
use super::{Category, Product, categories, store};
use crate::app::App;
use crate::error::{Error, Result};
use crate::ids::CategoryId;

/// Products read at once.
const PAGE: i64 = 500;

/// How the table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Commas, `\n`.
    Plain,
    /// As Excel opens it by itself in Brazil: a byte order mark, semicolons, `\r\n`.
    Excel,
}

/// The CSV, header first. No connection is held while the client reads.
pub async fn lines(app: Data<App>, form: Form) -> Result<impl Stream<Item = Result<Bytes>> + use<>> {
    let first = page(&app, form, None).await?; // before the answer starts, so that a database error is an error, not a cut file
    Ok(stream::try_unfold((app, Some(first)), move |(app, at)| async move {
        let Some((text, last)) = at else { return Ok(None) };
        let next = match last {
            Some(last) => Some(page(&app, form, Some(last)).await?),
            None => None,
        };
        Ok(Some((text, (app, next))))
    }))
}

/// The lines of the products behind `after`, with the header on the first page; and the last id, if more may follow.
async fn page(app: &App, form: Form, after: Option<Uuid>) -> Result<(Bytes, Option<Uuid>)> {
    let db = app.db().await?;
    let products = store::list_behind(&db, after.unwrap_or_default(), PAGE).await?;
    let paths = paths(&categories::tree(categories::all(&db).await?));
    drop(db);
    let text = written(&products, &paths, form, after.is_none())?;
    let last = products.last().filter(|_| products.len() as i64 == PAGE).map(|product| product.id.0);
    Ok((text.into(), last))
}

/// These products' lines.
pub(super) fn written(
    products: &[Product],
    paths: &HashMap<CategoryId, String>,
    form: Form,
    has_header: bool,
) -> Result<Vec<u8>> {
    let (delimiter, end) = match form {
        Form::Plain => (b',', csv::Terminator::Any(b'\n')),
        Form::Excel => (b';', csv::Terminator::CRLF),
    };
    let begin = if form == Form::Excel && has_header { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
    let mut table = csv::WriterBuilder::new().delimiter(delimiter).terminator(end).from_writer(begin);
    let failed = |e: csv::Error| Error::Internal(format!("export: {e}"));
    if has_header {
        table.write_record(COLUMNS).map_err(failed)?;
    }
    for product in products {
        for cells in rows(product, paths) {
            table.write_record(cells).map_err(failed)?;
        }
    }
    table.into_inner().map_err(|e| Error::Internal(format!("export: {e}")))
}

fn paths(tree: &[Category]) -> HashMap<CategoryId, String> {
    let mut paths = HashMap::new();
    for category in tree {
        let names: Vec<String> = category.path.iter().map(|crumb| escape(&crumb.name)).collect();
        paths.insert(category.id, names.join(" > "));
        paths.extend(self::paths(&category.children));
    }
    paths
}

fn rows(product: &Product, paths: &HashMap<CategoryId, String>) -> Vec<Vec<String>> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let images: Vec<String> = product.images.iter().map(|i| format!("{};{}", escape(&i.url), escape(&i.alt))).collect();
    let of_the_product = vec![
        guarded(paths.get(&product.category_id).map_or("", String::as_str)),
        guarded(&product.name),
        guarded(&product.description),
        guarded(&of_labels(&product.attributes)),
        flag(product.featured),
        flag(product.active),
        text(&product.ncm),
        text(&product.cfop),
        product.origin.map(|o| o.to_string()).unwrap_or_default(),
        guarded(&of_labels(&product.tax.words())),
        product.weight_grams.to_string(),
        product.height_cm.to_string(),
        product.width_cm.to_string(),
        product.length_cm.to_string(),
        guarded(&images.join("|")),
    ];
    let blank = vec![String::new(); of_the_product.len()];
    let line = |(n, variant): (usize, &super::Variant)| {
        let mut cells = vec![guarded(&product.slug)];
        cells.extend(if n == 0 { of_the_product.clone() } else { blank.clone() });
        cells.extend([
            guarded(&variant.sku),
            guarded(&variant.name),
            guarded(&of_labels(&variant.options)),
            reais(variant.price_cents),
            variant.compare_at_cents.map(reais).unwrap_or_default(),
            variant.stock.to_string(),
        ]);
        cells
    };
    product.variants.iter().enumerate().map(line).collect()
}

fn flag(yes: bool) -> String {
    if yes { "sim" } else { "não" }.to_owned()
}

fn reais(cents: i64) -> String {
    format!("{},{:02}", cents / 100, cents % 100)
}

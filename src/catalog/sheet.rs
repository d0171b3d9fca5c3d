//! The product table: one line per variant; lines with the same slug are one product. Mistakes are collected over all lines.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;

use csv::StringRecord;
use garde::Validate;

use super::cell::{self, pictures, reais, split, unescape, unguarded};
use super::columns::{COLUMNS, OF_THE_PRODUCT, TAX, place_of, places_in};
use super::product_input::{self, ProductInput, VariantInput};
use super::rules;
use super::slug::RESERVED;
use crate::error::{Error, FieldError, Result};
use crate::ids::CategoryId;
use crate::tax::TaxData;
use crate::text::is_hidden;

/// Most mistakes that one answer lists.
const MISTAKES_MAX: usize = 500;

/// A table that is well formed. What needs the database is not checked yet.
#[derive(Debug)]
pub struct Sheet {
    pub products: Vec<Entry>,
}

/// A product of the table.
#[derive(Debug)]
pub struct Entry {
    pub slug: String,
    /// Names from the root down.
    pub category: Vec<String>,
    /// Its category is not looked up yet: the id means nothing.
    pub input: ProductInput,
    /// The line of each variant.
    pub lines: Vec<u64>,
    cells: Vec<String>,
}

/// Reads a table whose cells are separated by commas or semicolons. Every bad line is named.
pub fn read(body: &[u8]) -> Result<Sheet> {
    let text = std::str::from_utf8(body).map_err(|_| Error::field("file", "is not UTF-8: save it as CSV UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first_line = text.lines().next().unwrap_or_default();
    let delimiter = [b',', b';', b'\t'].into_iter().max_by_key(|d| first_line.bytes().filter(|b| b == d).count()).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    let mut reading = Reading {
        places: places_in(&mut reader)?,
        width: reader.headers().map_or(0, StringRecord::len),
        lines: Lines { bytes: text.as_bytes(), at: 0, line: 1 },
        products: Vec::new(),
        known: HashMap::new(),
        skus: HashSet::new(),
        mistakes: Vec::new(),
    };
    for record in reader.records() {
        let record = record.map_err(|e| Error::field("file", format!("cannot be read: {e}")))?;
        if record.iter().any(|cell| !cell.trim().is_empty()) {
            reading.line(&record);
        }
    }
    reading.finish()
}

/// Counts the file's own lines: `\n`, `\r\n` and a lone `\r` end one each, in a quoted cell too.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of the record that begins there. Asked in the order of the file.
    fn line_at(&mut self, mut record: usize) -> u64 {
        // The reader stops between the `\r` and the `\n` of a line's end, and before blank lines.
        while matches!(self.bytes.get(record), Some(b'\r' | b'\n')) {
            record += 1;
        }
        for at in self.at..record.min(self.bytes.len()) {
            let ends = match self.bytes[at] {
                b'\n' => true,
                b'\r' => self.bytes.get(at + 1) != Some(&b'\n'),
                _ => false,
            };
            self.line += u64::from(ends);
        }
        self.at = self.at.max(record);
        self.line
    }
}

struct Reading<'a> {
    /// Columns of the header.
    width: usize,
    lines: Lines<'a>,
    places: Vec<Option<usize>>,
    products: Vec<Entry>,
    known: HashMap<String, usize>,
    skus: HashSet<String>,
    mistakes: Vec<FieldError>,
}

/// One line's cells, in the order of our columns.
struct Cells {
    line: u64,
    cells: Vec<String>,
}

impl Cells {
    fn get(&self, column: &str) -> &str {
        COLUMNS.iter().position(|c| *c == column).map_or("", |n| self.cells[n].as_str())
    }
}

impl Reading<'_> {
    fn mistake(&mut self, line: u64, column: &str, message: impl Into<String>) {
        self.mistakes.push(FieldError { field: format!("line {line}: {column}"), message: message.into() });
    }

    fn line(&mut self, record: &StringRecord) {
        let line = self.lines.line_at(record.position().map_or(0, |p| usize::try_from(p.byte()).unwrap_or(usize::MAX)));
        // Empty cells at a line's end may be missing. One too many means that a separator was taken for the end of a cell.
        let is_stray = |n: usize| n >= self.width || (!self.places.contains(&Some(n)) && !record[n].trim().is_empty());
        if let Some(n) = (0..record.len()).find(|&n| is_stray(n)) {
            let why =
                format!("cell {} has no column: put texts and amounts with the separator in them into quotation marks", n + 1);
            return self.mistake(line, "file", why);
        }
        let cell = |place: &Option<usize>| unguarded(place.and_then(|place| record.get(place)).unwrap_or_default()).to_owned();
        let cells = self.places.iter().map(cell).collect();
        let cells = Cells { line, cells };
        let slug = cells.get("product_slug").trim().to_owned();
        if !rules::is_slug(&slug) || slug.len() > 160 || slug.parse::<uuid::Uuid>().is_ok() {
            return self.mistake(line, "product_slug", "must be lower-case letters without accents, digits and single hyphens");
        }
        if RESERVED.contains(&slug.as_str()) {
            return self.mistake(line, "product_slug", "is an address of the shop's own: choose another");
        }
        let place = match self.known.get(&slug) {
            Some(&place) => {
                self.same_product(place, &cells);
                place
            }
            None => {
                let entry = self.product(slug.clone(), &cells);
                self.products.push(entry);
                self.known.insert(slug, self.products.len() - 1);
                self.products.len() - 1
            }
        };
        let variant = self.variant(&cells);
        self.products[place].input.variants.push(variant);
        self.products[place].lines.push(line);
    }

    /// Further lines of a product must not contradict its first one.
    fn same_product(&mut self, place: usize, cells: &Cells) {
        let first = &self.products[place].cells;
        let differs =
            OF_THE_PRODUCT.filter(|&n| !cells.cells[n].trim().is_empty() && cells.cells[n] != first[n]).collect::<Vec<_>>();
        for n in differs {
            self.mistake(cells.line, COLUMNS[n], "differs from the product's first line: leave it blank");
        }
    }

    fn product(&mut self, slug: String, cells: &Cells) -> Entry {
        let optional = |text: &str| Some(text.trim()).filter(|t| !t.is_empty()).map(str::to_owned);
        let category: Vec<String> =
            split(cells.get("category_path"), '>').iter().map(|name| unescape(name).trim().to_owned()).collect();
        if category.iter().any(|name| name.is_empty() || name.chars().count() > 120 || name.chars().any(is_hidden)) {
            self.mistake(cells.line, "category_path", "must be names of 1 to 120 characters, with > between them");
        } else if category.len() > super::categories::MAX_DEPTH {
            self.mistake(cells.line, "category_path", format!("must not be deeper than {} levels", super::categories::MAX_DEPTH));
        }
        let input = ProductInput {
            name: cells.get("product_name").trim().to_owned(),
            slug: Some(slug.clone()),
            description: cells.get("description").replace("\r\n", "\n"),
            category_id: CategoryId(uuid::Uuid::nil()),
            featured: self.flag(cells, "featured", false),
            active: self.flag(cells, "active", true),
            weight_grams: self.number(cells, "weight_grams", 1),
            height_cm: self.number(cells, "height_cm", 1),
            width_cm: self.number(cells, "width_cm", 1),
            length_cm: self.number(cells, "length_cm", 1),
            ncm: optional(cells.get("ncm")).map(|ncm| cell::code(&ncm, 8)),
            cfop: optional(cells.get("cfop")).map(|cfop| cell::code(&cfop, 4)),
            origin: self.optional_number(cells, "origin"),
            tax: self.tax(cells),
            attributes: self.labels(cells, "attributes"),
            images: pictures(cells.get("images")),
            sku: None,
            price_cents: None,
            compare_at_cents: None,
            stock: None,
            variants: Vec::new(),
        };
        Entry { slug, category, input, lines: Vec::new(), cells: cells.cells.clone() }
    }

    fn variant(&mut self, cells: &Cells) -> VariantInput {
        let sku = cells.get("sku").trim().to_owned();
        if sku.is_empty() {
            self.mistake(cells.line, "sku", "is required");
        } else if !self.skus.insert(sku.clone()) {
            self.mistake(cells.line, "sku", "is on another line already");
        }
        let price = self.price(cells, "price");
        if cells.get("price").trim().is_empty() {
            self.mistake(cells.line, "price", "is required");
        }
        let compare_at_cents = self.price(cells, "compare_at");
        if let (Some(price), Some(before)) = (price, compare_at_cents)
            && before < price
        {
            self.mistake(cells.line, "compare_at", product_input::BELOW_THE_PRICE);
        }
        VariantInput {
            id: None,
            sku: Some(sku).filter(|sku| !sku.is_empty()),
            name: cells.get("variant_name").to_owned(),
            options: self.labels(cells, "options"),
            price_cents: price.unwrap_or(1),
            compare_at_cents,
            stock: self.optional_number(cells, "stock"),
        }
    }

    fn flag(&mut self, cells: &Cells, column: &str, blank: bool) -> bool {
        let text = cells.get(column).trim();
        if text.is_empty() {
            return blank;
        }
        cell::flag(text).unwrap_or_else(|| {
            self.mistake(cells.line, column, "must be sim or não");
            blank
        })
    }

    fn optional_number<T: FromStr>(&mut self, cells: &Cells, column: &str) -> Option<T> {
        let text = cells.get(column).trim();
        if text.is_empty() {
            return None;
        }
        let number = cell::whole(text);
        if number.is_none() {
            self.mistake(cells.line, column, "must be a whole number");
        }
        number
    }

    fn number<T: FromStr>(&mut self, cells: &Cells, column: &str, fallback: T) -> T {
        if cells.get(column).trim().is_empty() {
            self.mistake(cells.line, column, "is required");
        }
        self.optional_number(cells, column).unwrap_or(fallback)
    }

    fn price(&mut self, cells: &Cells, column: &str) -> Option<i64> {
        let text = cells.get(column).trim();
        if text.is_empty() {
            return None;
        }
        let cents = reais(text);
        if cents.is_none() {
            self.mistake(cells.line, column, "must be an amount in reais such as 39,90");
        }
        cents
    }

    fn labels(&mut self, cells: &Cells, column: &str) -> BTreeMap<String, String> {
        cell::labels(cells.get(column)).unwrap_or_else(|| {
            self.mistake(cells.line, column, "must be name=value pairs with | between them");
            BTreeMap::new()
        })
    }

    /// `None` where the table has no such column; a blank cell means that the category's data count.
    fn tax(&mut self, cells: &Cells) -> Option<TaxData> {
        let position = COLUMNS.iter().position(|column| *column == TAX)?;
        self.places[position]?;
        let words = self.labels(cells, TAX);
        TaxData::of_words(words).map_err(|why| self.mistake(cells.line, TAX, why)).ok()
    }

    /// Applies the rules for a product that comes as JSON, with line and column in the messages.
    fn finish(mut self) -> Result<Sheet> {
        for entry in &self.products {
            let Err(report) = entry.input.validate() else { continue };
            for (path, error) in report.iter() {
                let (line, column) = place_of(&path.to_string(), &entry.lines);
                self.mistakes.push(FieldError { field: format!("line {line}: {column}"), message: error.to_string() });
            }
        }
        if self.products.is_empty() && self.mistakes.is_empty() {
            return Err(Error::field("file", "holds no products"));
        }
        if self.mistakes.is_empty() {
            return Ok(Sheet { products: self.products });
        }
        self.mistakes.truncate(MISTAKES_MAX);
        Err(Error::Invalid(self.mistakes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_bad_line_is_told_at_once() {
        let file = format!(
            "{}\n\
             cafe,Alimentos,Café,,,sim,sim,0901,,,,250,30,14,9,,CAF-1,,,\"39,90\",,10\n\
             cafe,,,,,,,,,,,,,,,,CAF-1,,,dez,,x\n\
             Chá,Alimentos,Chá,,,,,,,,,1,1,1,1,,CHA,,,\"1,00\",,\n\
             vela,Casa,Vela,,,talvez,,,,,csosn=1x2|pis=1,0,1,1,1,javascript:alert(1),VEL,,,\"1,00\",,\n",
            COLUMNS.join(",")
        );
        let Err(Error::Invalid(errors)) = read(file.as_bytes()) else { panic!("must be refused") };
        let mut fields: Vec<&str> = errors.iter().map(|e| e.field.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "line 2: ncm",
                "line 3: price",
                "line 3: sku",
                "line 3: stock",
                "line 4: product_slug",
                "line 5: featured",
                "line 5: images",
                "line 5: tax",
                "line 5: weight_grams",
            ]
        );
    }

    #[test]
    fn a_line_is_the_files_own_whatever_ends_it_and_whatever_stands_in_a_cell() {
        for end in ["\n", "\r\n", "\r"] {
            let lines = [
                COLUMNS.join(","),
                "cafe,A,Café,\"um\ndois\r\ntrês\",,,,,,,,250,30,14,9,,CAF,,,10,,".to_owned(), // lines 2 to 4
                String::new(),
                "cha,A,Chá,,,,,,,,,250,30,14,9,,CHA,,,abc,,".to_owned(), // line 6
                ",,,,,,,,,,,,,,,,,,,,,,,".to_owned(),
                "vela,A,Vela,,,,,,,,,250,30,14,9,,VEL,,,39,90,,".to_owned(), // line 8, not in quotation marks
                "mel,A,Mel,,,,,,,,,250,30,14,9,,MEL,,,10,9".to_owned(),      // line 9, without its last cells
            ];
            let Err(Error::Invalid(errors)) = read(lines.join(end).as_bytes()) else { panic!("must be refused") };
            let told: Vec<&str> = errors.iter().map(|e| e.field.as_str()).collect();
            assert_eq!(told, ["line 6: price", "line 8: file", "line 9: compare_at"], "{end:?}");
        }
    }

    #[test]
    fn a_missing_or_unknown_column_is_named() {
        let Err(Error::Invalid(errors)) = read(b"product_slug,colour\n") else { panic!("must be refused") };
        assert_eq!(errors.len(), COLUMNS.len() - 1, "one is there, one is not ours, one may be missing");
        assert!(errors.iter().any(|e| e.field == "line 1: colour"));
    }

    #[test]
    fn excel_may_save_it_with_semicolons_and_a_mark_in_front() {
        let file = format!(
            "\u{feff}{}\ncafe;A > B;Café;;;;;;;;csosn=500|cest=2104000|icms_rate=1800;250;30;14;9;;CAF;;;39,90;;10\n",
            COLUMNS.join(";")
        );
        let sheet = read(file.as_bytes()).expect("good");
        assert_eq!(sheet.products[0].category, ["A", "B"]);
        assert_eq!(sheet.products[0].input.variants[0].price_cents, 3990);
        let tax = sheet.products[0].input.tax.clone().expect("it has the column");
        assert_eq!((tax.csosn.as_deref(), tax.icms_rate), (Some("500"), Some(1800)));
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&body);
            let _ = read([COLUMNS.join(",").as_bytes(), b"\n", &body].concat().as_slice());
        }
    }
}

//! A table that a spreadsheet opened and saved is the table that was exported.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use proptest::prelude::*;

use super::cell::escape;
use super::columns::COLUMNS;
use super::export::{Form, written};
use super::sheet::{self, Sheet};
use super::{Image, Product, Variant, diff};
use crate::currency::Currency;
use crate::ids::{CategoryId, ProductId, VariantId};
use crate::tax::TaxData;

fn words(pattern: &'static str) -> impl Strategy<Value = String> {
    pattern.prop_map(|text: String| text.trim().to_owned())
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map(words("[A-Za-z0-9é=|>;]{1,5}"), words("[A-Za-z0-9é ,.=/+-]{0,6}"), 0..3)
}

prop_compose! {
    fn a_variant()(sku in "[A-Z0-9'=+.-]{0,9}[A-Z0-9]", name in words("[A-Za-z0-9 /'=,-]{0,12}"), options in labels(),
                   price_cents in 1_i64..10_000_000, more in proptest::option::of(0_i64..1_000_000), stock in 0_i32..100_000) -> Variant {
        let compare_at_cents = more.map(|more| price_cents + more);
        let name = if name.is_empty() || name.contains(|c: char| c.is_ascii_alphanumeric()) { name } else { "Tamanho".to_owned() };
        Variant { id: VariantId::new(), sku, name, options, price_cents, compare_at_cents, stock, in_stock: stock > 0 }
    }
}

prop_compose! {
    fn a_product()(slug in "[a-z0-9]{1,6}(-[a-z0-9]{1,4})?", name in words("[A-Za-zÀ-ú0-9'=+@.,/ -]{1,20}"),
                   description in "[A-Za-z0-9'=+\n\",;é -]{0,40}", attributes in labels(), flags in any::<[bool; 2]>(),
                   ncm in proptest::option::of("(0[1-9]|[1-9][0-9])[0-9]{6}"), cfop in proptest::option::of(proptest::sample::select(vec!["5101", "5102", "5405", "6102", "6108"])),
                   origin in proptest::option::of(0_i16..=8), sizes in [1..=1_000_000_i32, 1..=1000_i32, 1..=1000_i32, 1..=1000_i32],
                   pictures in proptest::collection::vec(("/media/[a-z0-9;|=]{1,6}[.]svg", words("[A-Za-z ;|=-]{0,6}")), 0..3),
                   has_tax in any::<bool>(), variants in proptest::collection::vec(a_variant(), 1..4)) -> Product {
        let mut variants = variants;
        let mut seen = std::collections::HashSet::new();
        variants.retain(|variant| seen.insert(variant.sku.clone()));
        let tax = [("csosn".to_owned(), "500".to_owned()), ("cest".to_owned(), "2104000".to_owned())];
        let first = &variants[0];
        Product {
            id: ProductId::new(),
            sku: first.sku.clone(),
            slug,
            name: if name.contains(|c: char| c.is_ascii_alphanumeric()) { name } else { "Nome".to_owned() },
            description,
            price_cents: first.price_cents,
            compare_at_cents: first.compare_at_cents,
            currency: Currency::Brl,
            stock: first.stock,
            in_stock: first.in_stock,
            featured: flags[0],
            active: flags[1],
            category_id: CategoryId::new(),
            images: pictures.into_iter().map(|(url, alt)| Image { url, alt }).collect(),
            weight_grams: sizes[0],
            height_cm: sizes[1],
            width_cm: sizes[2],
            length_cm: sizes[3],
            ncm,
            cfop: cfop.map(str::to_owned),
            origin,
            tax: if has_tax { TaxData::of_words(tax.into()).expect("tax data") } else { TaxData::default() },
            attributes: attributes.into_iter().filter(|(name, _)| !name.is_empty()).collect(),
            variants,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }
}

/// A cell as Excel in Brazil has it after it opened a CSV, and writes it again.
fn as_excel_writes_it(cell: &str) -> String {
    let typed = cell.trim();
    let is_date = |sign: char| typed.split(sign).count() == 2 && typed.split(sign).all(|n| matches!(n.parse(), Ok(1..=12)));
    let has_digit = typed.bytes().any(|b| b.is_ascii_digit());
    match typed.to_lowercase().as_str() {
        "true" | "verdadeiro" => return "VERDADEIRO".to_owned(),
        "false" | "falso" => return "FALSO".to_owned(),
        _ => {}
    }
    if typed.starts_with(['=', '+', '-', '@']) {
        return "#NOME?".to_owned();
    }
    if is_date('-') || is_date('/') {
        return "12/mai".to_owned();
    }
    match typed.replace('.', "").replace(',', ".").parse::<f64>() {
        Ok(number) if has_digit && number.abs() >= 1e11 => format!("{number:.5E}").replace('.', ","),
        Ok(number) if has_digit => number.to_string().replace('.', ","),
        _ => cell.to_owned(),
    }
}

/// Opened and saved: every cell read as Excel does, two empty columns at the end, an empty line, semicolons, CRLF and a mark in front.
fn saved_by_excel(table: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(table).expect("UTF-8").trim_start_matches('\u{feff}');
    let delimiter = if text.starts_with("product_slug;") { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(text.as_bytes());
    let begin = "\u{feff}".as_bytes().to_vec();
    let mut writer =
        csv::WriterBuilder::new().delimiter(b';').terminator(csv::Terminator::CRLF).flexible(true).from_writer(begin);
    for record in reader.records() {
        let record = record.expect("a line");
        let cells: Vec<String> = record.iter().map(as_excel_writes_it).chain([String::new(), String::new()]).collect();
        writer.write_record(&cells).expect("a line");
    }
    writer.write_record(vec![""; COLUMNS.len() + 2]).expect("a line");
    writer.into_inner().expect("a table")
}

fn check(product: &Product, category: &str, sheet: Sheet) -> std::result::Result<(), TestCaseError> {
    let entry = sheet.products.into_iter().next().expect("a product");
    prop_assert_eq!(&entry.category, &[category.to_owned()]);
    let mut input = entry.input;
    input.category_id = product.category_id;
    let stocks: Vec<_> = input.variants.iter().map(|variant| variant.stock).collect();
    prop_assert_eq!(stocks, product.variants.iter().map(|variant| Some(variant.stock)).collect::<Vec<_>>());
    let draft = input.into_draft(product.id, entry.slug).expect("a draft");
    prop_assert_eq!(&draft.slug, &product.slug);
    prop_assert!(!diff::differs(product, &draft), "{:?}\n{:?}", product, draft);
    Ok(())
}

proptest! {
    #[test]
    fn a_table_that_a_spreadsheet_saved_changes_nothing(product in a_product(), category in words("[A-Za-zé0-9 >=-]{1,8}"), excel in any::<bool>()) {
        prop_assume!(!category.is_empty() && product.slug.parse::<uuid::Uuid>().is_err());
        let paths = HashMap::from([(product.category_id, escape(&category))]);
        let form = if excel { Form::Excel } else { Form::Plain };
        let products = [product];
        let table = written(&products, &paths, form, true).expect("a table");
        let [product] = products;
        for table in [table.clone(), saved_by_excel(&table), saved_by_excel(&saved_by_excel(&table))] {
            match sheet::read(&table) {
                Ok(sheet) => check(&product, &category, sheet)?,
                Err(error) => prop_assert!(false, "{:?}\n{}", error, String::from_utf8_lossy(&table)),
            }
        }
    }
}

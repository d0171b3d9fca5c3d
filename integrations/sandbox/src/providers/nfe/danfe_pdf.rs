//! The DANFE as a PDF, written by hand: two fonts that every reader has, boxes, text and bars.

use crate::books::nfe::Nfe;
use crate::books::nfe_draft;
use crate::formats::code128;
use crate::providers::nfe::danfe::{self, COLUMNS, Cell};

/// A4 in points, and what stays white.
const PAGE: (f64, f64) = (595.0, 842.0);
const MARGIN: f64 = 24.0;
const WIDTH: f64 = PAGE.0 - 2.0 * MARGIN;
const BOX: f64 = 22.0;
const LINE: f64 = 11.0;
/// So much at the bottom is for the notes.
const NOTES: f64 = 70.0;

/// What is drawn on one page. Places are measured from the top left.
#[derive(Default)]
struct Page(Vec<u8>);

impl Page {
    fn op(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'\n');
    }

    fn text(&mut self, x: f64, y: f64, size: f64, is_bold: bool, text: &str) {
        self.op(&format!("BT /F{} {size} Tf {x:.1} {:.1} Td (", if is_bold { 2 } else { 1 }, PAGE.1 - y));
        self.0.pop();
        for c in text.chars() {
            let byte = u8::try_from(u32::from(c)).unwrap_or(b'?'); // Latin-1, which the schema keeps to
            if matches!(byte, b'(' | b')' | b'\\') {
                self.0.push(b'\\');
            }
            self.0.push(byte);
        }
        self.op(") Tj ET");
    }

    fn frame(&mut self, x: f64, y: f64, width: f64, height: f64) {
        self.op(&format!("0.5 w {x:.1} {:.1} {width:.1} {height:.1} re S", PAGE.1 - y - height));
    }

    fn fill(&mut self, x: f64, y: f64, width: f64, height: f64) {
        self.op(&format!("{x:.2} {:.2} {width:.2} {height:.2} re f", PAGE.1 - y - height));
    }

    /// Boxes side by side.
    fn row(&mut self, y: f64, cells: &[Cell]) {
        let shares: u32 = cells.iter().map(|cell| cell.share).sum();
        let mut x = MARGIN;
        for Cell { label, value, share } in cells {
            let width = WIDTH * f64::from(*share) / f64::from(shares.max(1));
            self.frame(x, y, width, BOX);
            self.text(x + 3.0, y + 6.5, 5.0, false, label);
            self.text(x + 3.0, y + 17.0, 8.5, false, &fit(value, width - 6.0, 8.5));
            x += width;
        }
    }

    fn cells(&mut self, y: f64, size: f64, is_bold: bool, texts: &[String]) {
        let mut x = MARGIN;
        for (text, (_, share, is_number)) in texts.iter().zip(COLUMNS) {
            let width = WIDTH * f64::from(share) / f64::from(COLUMNS.iter().map(|(_, share, _)| share).sum::<u32>());
            self.frame(x, y, width, LINE);
            let text = fit(text, width - 4.0, size);
            let indent = if is_number { (width - 2.0 - breadth(&text, size)).max(2.0) } else { 2.0 };
            self.text(x + indent, y + 8.0, size, is_bold, &text);
            x += width;
        }
    }
}

/// About as wide as it gets in Helvetica.
fn breadth(text: &str, size: f64) -> f64 {
    let of = |c: char| match c {
        'i' | 'l' | 'j' | '.' | ',' | ':' | ';' | '\'' | '|' => 0.26,
        't' | 'f' | 'r' | ' ' | '-' | '(' | ')' | '/' => 0.33,
        'm' | 'w' | 'M' | 'W' => 0.85,
        c if c.is_uppercase() => 0.69,
        _ => 0.56,
    };
    text.chars().map(of).sum::<f64>() * size
}

fn fit(text: &str, width: f64, size: f64) -> String {
    let mut fits = String::new();
    for c in text.chars() {
        fits.push(c);
        if breadth(&fits, size) > width {
            fits.pop();
            break;
        }
    }
    fits
}

fn head(page: &mut Page, nfe: &Nfe, sheet: usize, sheets: usize) -> f64 {
    let (y, height) = (MARGIN, 96.0);
    let key = nfe.key.as_deref().unwrap_or_default();
    let [street, city] = danfe::lines(&nfe.draft.issuer);
    page.frame(MARGIN, y, 216.0, height);
    page.text(MARGIN + 6.0, y + 22.0, 12.0, true, &fit(&nfe.draft.issuer.name, 190.0, 12.0));
    page.text(MARGIN + 6.0, y + 40.0, 8.0, false, &fit(&street, 204.0, 8.0));
    page.text(MARGIN + 6.0, y + 52.0, 8.0, false, &fit(&city, 204.0, 8.0));
    let x = MARGIN + 216.0;
    page.frame(x, y, 96.0, height);
    page.text(x + 24.0, y + 18.0, 14.0, true, "DANFE");
    page.text(x + 8.0, y + 28.0, 6.0, false, "Documento Auxiliar da Nota");
    page.text(x + 8.0, y + 35.0, 6.0, false, "Fiscal Eletrônica");
    page.text(x + 8.0, y + 48.0, 7.0, false, "0 - ENTRADA");
    page.text(x + 8.0, y + 57.0, 7.0, false, "1 - SAÍDA");
    page.frame(x + 66.0, y + 43.0, 16.0, 16.0);
    page.text(x + 71.5, y + 54.5, 10.0, true, if nfe.draft.is_entry { "0" } else { "1" });
    page.text(x + 8.0, y + 72.0, 9.0, true, &format!("Nº {}", danfe::number(nfe)));
    page.text(x + 8.0, y + 82.0, 8.0, true, &format!("SÉRIE {}", nfe.series));
    page.text(x + 8.0, y + 91.0, 7.0, false, &format!("FOLHA {sheet}/{sheets}"));
    let x = x + 96.0;
    let width = PAGE.0 - MARGIN - x;
    page.frame(x, y, width, height);
    let (bars, modules) = code128::bars(key);
    let module = (width - 16.0) / f64::from(modules.max(1));
    for (at, bar) in bars {
        page.fill(x + 8.0 + f64::from(at) * module, y + 6.0, f64::from(bar) * module, 36.0);
    }
    page.text(x + 8.0, y + 53.0, 5.0, false, "CHAVE DE ACESSO");
    page.text(x + 8.0, y + 64.0, 7.6, true, &danfe::spaced(key));
    page.text(x + 8.0, y + 78.0, 6.5, false, "Consulta de autenticidade no portal nacional da NF-e");
    page.text(x + 8.0, y + 87.0, 6.5, false, "www.nfe.fazenda.gov.br/portal");
    y + height
}

fn table(page: &mut Page, mut y: f64, items: &[nfe_draft::DraftItem]) -> f64 {
    page.text(MARGIN, y + 8.0, 6.0, true, "DADOS DOS PRODUTOS");
    y += 10.0;
    page.cells(y, 5.5, true, &COLUMNS.map(|(name, ..)| name.to_owned()));
    y += LINE;
    for item in items {
        page.cells(y, 7.0, false, &danfe::line(item));
        y += LINE;
    }
    y
}

fn foot(page: &mut Page, nfe: &Nfe) {
    let y = PAGE.1 - MARGIN - NOTES + 12.0;
    page.text(MARGIN, y - 3.0, 6.0, true, "DADOS ADICIONAIS");
    page.frame(MARGIN, y, WIDTH, NOTES - 12.0);
    let mut rest = nfe.draft.notes.as_str();
    for at in 0..5 {
        let line = fit(rest, WIDTH - 10.0, 7.5);
        page.text(MARGIN + 5.0, y + 10.0 + f64::from(at) * 10.0, 7.5, false, &line);
        rest = rest.get(line.len()..).unwrap_or_default().trim_start();
    }
    if let Some(words) = danfe::stamp(nfe) {
        page.op("q 0.94 0.89 0.89 rg 0.87 0.5 -0.5 0.87 90 260 cm BT /F2 54 Tf 0 0 Td (");
        page.0.pop();
        page.0.extend_from_slice(words.as_bytes());
        page.op(") Tj ET Q");
    }
}

/// As many pages as it takes.
pub(crate) fn draw(nfe: &Nfe) -> Vec<u8> {
    let blocks = danfe::blocks(nfe);
    let rows: f64 =
        blocks.iter().map(|block| BOX * block.rows.len() as f64 + if block.title.is_empty() { 0.0 } else { 10.0 }).sum();
    let room = |top: f64| ((PAGE.1 - MARGIN - NOTES - top - 10.0 - 2.0 * LINE) / LINE) as usize;
    let (first, later) = (room(MARGIN + 96.0 + rows), room(MARGIN + 96.0));
    let items = &nfe.draft.items;
    let (here, rest) = items.split_at(items.len().min(first));
    let sheets: Vec<&[nfe_draft::DraftItem]> = std::iter::once(here).chain(rest.chunks(later)).collect();
    let pages = sheets.iter().enumerate().map(|(at, lines)| {
        let mut page = Page::default();
        foot(&mut page, nfe); // first, so that the stamp lies under all
        let mut y = head(&mut page, nfe, at + 1, sheets.len());
        if at == 0 {
            for block in &blocks {
                if !block.title.is_empty() {
                    page.text(MARGIN, y + 8.0, 6.0, true, block.title);
                    y += 10.0;
                }
                for row in &block.rows {
                    page.row(y, row);
                    y += BOX;
                }
            }
        }
        table(&mut page, y, lines);
        page.0
    });
    file(&pages.collect::<Vec<_>>())
}

/// Catalogue, pages, two fonts; then each page and what is on it.
fn file(pages: &[Vec<u8>]) -> Vec<u8> {
    let font =
        |name: &str| format!("<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>").into_bytes();
    let kids: String = (0..pages.len()).map(|at| format!("{} 0 R ", 5 + 2 * at)).collect();
    let mut objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        format!("<< /Type /Pages /Kids [{kids}] /Count {} >>", pages.len()).into_bytes(),
        font("Helvetica"),
        font("Helvetica-Bold"),
    ];
    for (at, drawn) in pages.iter().enumerate() {
        objects.push(
            format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {} {}] /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> /Contents {} 0 R >>",
                PAGE.0,
                PAGE.1,
                6 + 2 * at
            )
            .into_bytes(),
        );
        let mut stream = format!("<< /Length {} >>\nstream\n", drawn.len()).into_bytes();
        stream.extend_from_slice(drawn);
        stream.extend_from_slice(b"\nendstream");
        objects.push(stream);
    }
    let mut out = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut places = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        places.push(out.len());
        out.extend_from_slice(format!("{} 0 obj\n", at + 1).as_bytes());
        out.extend_from_slice(object);
        out.extend_from_slice(b"\nendobj\n");
    }
    let start = out.len();
    out.extend_from_slice(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).as_bytes());
    for place in places {
        out.extend_from_slice(format!("{place:010} 00000 n \n").as_bytes());
    }
    let end = format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1);
    out.extend_from_slice(end.as_bytes());
    out
}

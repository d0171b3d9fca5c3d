//! The page: the figures of runs as tables and plots, written between two marks of `performance.md`. What stands around them is kept.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::options::Part;
use crate::plot::{Bar, plot};
use crate::rows::{Bound, Row, Run, Section, Side, spread};

const BEGIN: &str = "<!-- figures: written by scripts/bench -->";
const END: &str = "<!-- end of the figures -->";

/// Writes `performance.md` and its plots into the folder, from the JSON of one or more runs.
pub fn write(from: &[PathBuf], out: &Path) {
    let mut runs: Vec<Run> = Vec::new();
    for file in from {
        runs.extend(serde_json::from_slice::<Vec<Run>>(&fs::read(file).unwrap()).unwrap());
    }
    let plots = out.join("performance");
    fs::create_dir_all(&plots).unwrap();
    let mut figures = String::new();
    for (n, run) in runs.iter().enumerate() {
        writeln!(figures, "\n{}", run.machine.line()).unwrap();
        for section in &run.sections {
            let name = format!("{}{}.svg", file_name(section.part), if n == 0 { String::new() } else { format!("-{}", n + 1) });
            fs::write(plots.join(&name), plot(title(section.part), &bars(section))).unwrap();
            figures.push_str(&table(section, &name));
        }
    }
    let text = serde_json::to_string_pretty(&runs).unwrap();
    fs::write(plots.join("figures.json"), text + "\n").unwrap();
    let page = out.join("performance.md");
    let old = fs::read_to_string(&page).unwrap_or_else(|_| format!("# Performance\n\n{BEGIN}\n{END}\n"));
    let (before, rest) = old.split_once(BEGIN).unwrap_or((&old, END));
    let after = rest.split_once(END).map_or("\n", |(_, after)| after);
    fs::write(page, format!("{before}{BEGIN}\n{figures}\n{END}{after}")).unwrap();
}

fn file_name(part: Part) -> &'static str {
    match part {
        Part::Catalog => "catalog",
        Part::Checkout => "checkout",
        Part::Start => "start",
        Part::Webhooks => "webhooks",
        Part::Carts => "carts",
        Part::Logins => "logins",
        Part::Growth => "growth",
        Part::Page => "page",
    }
}

fn title(part: Part) -> &'static str {
    match part {
        Part::Catalog => "Catalog: requests a second, divided by those of a bare handler",
        Part::Checkout => "Orders: orders a second, divided by those of the other side",
        Part::Start => "Start, memory, size: divided by what is wanted at most",
        Part::Webhooks => "Webhooks: notices a second, divided by those of the other side",
        Part::Carts => "Carts: calls a second, divided by those of the other side",
        Part::Logins => "Sign-ins: what they cost everybody else (less is better)",
        Part::Growth => "Growth: p95 in a large shop, divided by that in a small one (less is better)",
        Part::Page => "",
    }
}

/// The section's table: a line for each comparison.
fn table(section: &Section, plot: &str) -> String {
    let mut text = format!("\n### {}\n\n![{0}](performance/{plot})\n\n", title(section.part));
    text.push_str("| work | this build | beside | ratio | wanted |\n|---|---|---|---|---|\n");
    for row in &section.rows {
        let side = |name: &str| row.sides.iter().find(|side| side.name == name);
        if row.ratios.is_empty() || row.wanted.is_some() {
            let first = &row.sides[0];
            let is_kept = mark(row.wanted, spread(&first.figures)[1]);
            writeln!(text, "| {} | {} | – | – | {is_kept} |", row.name, figure(row, first)).unwrap();
        }
        for ratio in &row.ratios {
            let [low, middle, high] = spread(&ratio.rounds);
            let [of, to] = [&ratio.of, &ratio.to].map(|name| side(name).map(|side| figure(row, side)).unwrap_or_default());
            let wanted = mark(ratio.wanted, middle);
            writeln!(text, "| {} | {of} | {}: {to} | **{middle:.2}** ({low:.2} to {high:.2}) | {wanted} |", row.name, ratio.to)
                .unwrap();
        }
    }
    text
}

/// What is wanted, and whether it is so.
fn mark(wanted: Option<Bound>, figure: f64) -> String {
    match wanted {
        Some(bound) if bound.is_kept_by(figure) => format!("{}, reached", bound.text()),
        Some(bound) => format!("{}, **missed**", bound.text()),
        None => "–".into(),
    }
}

fn figure(row: &Row, side: &Side) -> String {
    let [low, middle, high] = spread(&side.figures);
    let short = |figure: f64| if figure < 100.0 { format!("{figure:.1}") } else { format!("{figure:.0}") };
    let mut text = format!("{} {} ({} to {})", short(middle), row.unit, short(low), short(high));
    if !side.p95_ms.is_empty() {
        write!(text, ", p95 {} ms", short(spread(&side.p95_ms)[1])).unwrap();
    }
    if side.errors > 0 {
        write!(text, ", **{} errors**", side.errors).unwrap();
    }
    text
}

/// The section's plot: its ratios, or figures divided by their bounds.
fn bars(section: &Section) -> Vec<Bar> {
    let mut bars = Vec::new();
    for row in &section.rows {
        if let Some(bound) = row.wanted {
            let spread = spread(&row.sides[0].figures).map(|figure| figure / bound.figure());
            bars.push(Bar { label: row.name.clone(), spread, wanted: Some(1.0), is_kept: spread[1] <= 1.0 });
            continue;
        }
        for ratio in &row.ratios {
            let spread = spread(&ratio.rounds);
            let is_kept = ratio.wanted.is_none_or(|bound| bound.is_kept_by(spread[1]));
            let label = format!("{} ÷ {}", row.name, ratio.to);
            bars.push(Bar { label, spread, wanted: ratio.wanted.map(Bound::figure), is_kept });
        }
    }
    bars
}

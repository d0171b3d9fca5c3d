//! How many rows of which table a plan reads, by PostgreSQL's own estimates.

use std::collections::HashMap;

use serde_json::Value;

/// What one step of a plan reads of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    pub table: String,
    pub rows: f64,
    /// The whole table, row by row.
    pub is_scan: bool,
}

/// Every step of a plan that reads a table. `sizes` has the rows of tables and of (partial) indexes.
///
/// An index that is read by a condition reads what the condition finds; the filter behind it is in that estimate, so it may read more.
pub fn reads(plan: &Value, sizes: &HashMap<String, f64>) -> Vec<Read> {
    let mut found = Vec::new();
    walk(plan, 1.0, 1.0, sizes, &mut found);
    found
}

/// `times`: how often the step runs. `share`: the part of its rows that is taken before a `LIMIT` ends it.
fn walk(step: &Value, times: f64, share: f64, sizes: &HashMap<String, f64>, found: &mut Vec<Read>) {
    let (kind, rows) = (text(step, "Node Type"), rows_of(step));
    let size = |name: &str| sizes.get(name).copied().unwrap_or(0.0);
    // The tables of the system are not in `sizes`.
    let ours = step["Relation Name"].as_str().filter(|table| sizes.contains_key(*table));
    if let Some(table) = ours.filter(|_| kind.ends_with("Scan")) {
        let read = match kind {
            "Seq Scan" => size(table),
            "Bitmap Heap Scan" => under_a_bitmap(step, sizes),
            _ if step["Index Cond"].is_null() => size(text(step, "Index Name")),
            _ => rows,
        };
        // Without a filter, a `LIMIT` ends it after as many rows.
        let ends = step["Filter"].is_null() && share < 1.0;
        found.push(Read { table: table.to_owned(), rows: read * share * times, is_scan: kind == "Seq Scan" && !ends });
    }
    let share = match kind {
        "Limit" => {
            let below = step["Plans"].get(0).map_or(rows, rows_of);
            share * (rows / below).min(1.0)
        }
        // These take all rows before they give the first one.
        "Sort" | "Hash" | "Aggregate" | "SetOp" | "ModifyTable" => 1.0,
        _ => share,
    };
    // This reads what is below it once, however often it is read itself.
    let times = if kind == "Materialize" { 1.0 } else { times };
    let steps = step["Plans"].as_array().into_iter().flatten();
    let outer = steps.clone().find(|step| text(step, "Parent Relationship") == "Outer").map_or(1.0, rows_of);
    for below in steps {
        let is_hashed = || {
            let name = text(below, "Subplan Name");
            ["Filter", "Join Filter"].iter().any(|part| text(step, part).contains(&format!("hashed {name}")))
        };
        let (times, share) = match text(below, "Parent Relationship") {
            "Inner" if kind == "Nested Loop" => (times * (outer * share).max(1.0), 1.0),
            "Inner" => (times, 1.0),
            "SubPlan" if !is_hashed() => (times * (rows * share).max(1.0), 1.0),
            "SubPlan" | "InitPlan" => (times, 1.0),
            _ => (times, share),
        };
        walk(below, times, share, sizes, found);
    }
}

/// The rows that the indexes of a bitmap name.
fn under_a_bitmap(step: &Value, sizes: &HashMap<String, f64>) -> f64 {
    let steps = step["Plans"].as_array().into_iter().flatten();
    steps
        .map(|below| match text(below, "Node Type") {
            "Bitmap Index Scan" if below["Index Cond"].is_null() => sizes.get(text(below, "Index Name")).copied().unwrap_or(0.0),
            "Bitmap Index Scan" => rows_of(below),
            _ => under_a_bitmap(below, sizes),
        })
        .sum()
}

fn text<'a>(step: &'a Value, name: &str) -> &'a str {
    step[name].as_str().unwrap_or_default()
}

fn rows_of(step: &Value) -> f64 {
    step["Plan Rows"].as_f64().unwrap_or(1.0).max(1.0)
}

#[test]
fn what_a_plan_reads_is_counted_through_limits_loops_and_subplans() {
    let sizes = HashMap::from([("orders".into(), 40_000.0), ("orders_open".into(), 200.0), ("lines".into(), 80_000.0)]);
    let of = |plan: Value| -> Vec<(String, f64, bool)> {
        reads(&plan, &sizes).into_iter().map(|read| (read.table, read.rows, read.is_scan)).collect()
    };
    let plan = |kind: &str, rows: u32, more: Value| {
        let mut plan = serde_json::json!({"Node Type": kind, "Plan Rows": rows});
        plan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        plan
    };
    let scan = plan("Seq Scan", 10, serde_json::json!({"Relation Name": "orders", "Parent Relationship": "Outer"}));
    assert_eq!(of(scan.clone()), [("orders".into(), 40_000.0, true)]);
    let limited = plan("Limit", 5, serde_json::json!({"Plans": [scan.clone()]}));
    assert_eq!(of(limited), [("orders".into(), 20_000.0, false)], "half of the ten that are there");
    let filtered =
        plan("Seq Scan", 10, serde_json::json!({"Relation Name": "orders", "Filter": "(x)", "Parent Relationship": "Outer"}));
    let limited = plan("Limit", 5, serde_json::json!({"Plans": [filtered]}));
    assert_eq!(of(limited), [("orders".into(), 20_000.0, true)], "half of the ten that fit");
    let sorted = plan("Sort", 10, serde_json::json!({"Parent Relationship": "Outer", "Plans": [scan.clone()]}));
    let limited = plan("Limit", 5, serde_json::json!({"Plans": [sorted]}));
    assert_eq!(of(limited), [("orders".into(), 40_000.0, true)], "a sort takes all");
    let partial = serde_json::json!({"Relation Name": "orders", "Index Name": "orders_open", "Parent Relationship": "Outer"});
    let partial = plan("Index Scan", 30, partial);
    let inner =
        serde_json::json!({"Relation Name": "lines", "Index Cond": "(x)", "Index Name": "i", "Parent Relationship": "Inner"});
    let looped = plan("Nested Loop", 60, serde_json::json!({"Plans": [partial, plan("Index Scan", 2, inner)]}));
    assert_eq!(of(looped), [("orders".into(), 200.0, false), ("lines".into(), 60.0, false)]);
    let below = plan(
        "Index Only Scan",
        3,
        serde_json::json!({"Relation Name": "lines", "Index Cond": "(x)", "Parent Relationship": "SubPlan"}),
    );
    let filtered = plan("Result", 7, serde_json::json!({"Plans": [below]}));
    assert_eq!(of(filtered), [("lines".into(), 21.0, false)]);
    let found = plan("Bitmap Index Scan", 50, serde_json::json!({"Index Cond": "(x)", "Index Name": "i"}));
    let either = plan("BitmapOr", 0, serde_json::json!({"Plans": [found.clone(), found]}));
    let heap = plan("Bitmap Heap Scan", 1, serde_json::json!({"Relation Name": "orders", "Plans": [either]}));
    assert_eq!(of(heap), [("orders".into(), 100.0, false)]);
}

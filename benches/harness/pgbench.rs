//! Recorded transactions, sent again by pgbench on a copy of the same rows: statement by statement, or as one PL/pgSQL function.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use tokio::process::Command;
use tokio_postgres::Client;
use vitrine::dev::postgres::Cluster;

use crate::Bench;
use crate::beside::Work;
use crate::recording::{Recording, Value};
use crate::shared::buyers::{Call, p95_ms, rate};
use crate::shared::connect;

/// A copy of the database with the values of the recorded transactions, each of which can be sent once.
pub struct Replay {
    database: String,
    statements: Vec<Statement>,
    is_function: bool,
    /// Transactions that were sent already.
    sent: usize,
    available: usize,
}

struct Statement {
    sql: String,
    /// Of each value its column in `bench_values`, or nothing if it is always NULL.
    values: Vec<Option<String>>,
    returns_rows: bool,
}

/// What one block came to.
pub struct Replayed {
    pub rate: f64,
    pub p95_ms: f64,
    /// Milliseconds of each statement.
    pub statements: Vec<(String, f64)>,
}

impl Statement {
    /// With another text in place of each `$n`, the longest numbers first.
    fn with(&self, text: impl Fn(&str) -> String) -> String {
        let mut sql = self.sql.clone();
        for (n, column) in self.values.iter().enumerate().rev() {
            let value = column.as_ref().map_or_else(|| "NULL".to_owned(), |column| text(column));
            sql = sql.replace(&format!("${}", n + 1), &value);
        }
        sql
    }
}

impl Replay {
    /// Loads the recorded values into the copy.
    pub async fn prepare(cluster: &Cluster, database: &str, recording: &Recording, is_function: bool) -> Self {
        let db = connect(&cluster.url(database)).await;
        let (mut columns, mut kept, mut statements) = (Vec::new(), Vec::new(), Vec::new());
        for (s, sql) in recording.statements.iter().enumerate() {
            assert!(!would_be_replaced(sql), "pgbench would take a part of this for a variable of its own: {sql}");
            let (types, returns_rows): (Vec<String>, bool) = if is_frame(sql) {
                (Vec::new(), false)
            } else {
                let prepared = db.prepare(sql).await.unwrap();
                (prepared.params().iter().map(|of| of.name().to_owned()).collect(), !prepared.columns().is_empty())
            };
            let mut values = Vec::new();
            for (v, of) in types.iter().enumerate() {
                let is_used = recording.values.iter().any(|transaction| transaction[s][v].is_some());
                values.push(is_used.then(|| format!("v{s}_{v}")));
                if is_used {
                    columns.push(format!("v{s}_{v} \"{of}\""));
                    kept.push((s, v));
                }
            }
            statements.push(Statement { sql: sql.clone(), values, returns_rows });
        }
        let table = format!("CREATE TABLE bench_values (n int PRIMARY KEY, {})", columns.join(", "));
        db.batch_execute(&table).await.unwrap();
        fill(&db, recording, &kept).await;
        if is_function {
            db.batch_execute(&function(&statements)).await.unwrap();
        }
        let available = recording.values.len();
        Self { database: database.to_owned(), statements, is_function, sent: 0, available }
    }

    /// pgbench's script: the values of the next transaction, then its statements.
    fn script(&self) -> String {
        let mut script = "\\set n :base + :client_id * :each + :i\n\\set i :i + 1\n".to_owned();
        if self.is_function {
            return script + "SELECT bench_transaction(:n);\n";
        }
        let columns: Vec<&str> = self.statements.iter().flat_map(|of| of.values.iter().flatten()).map(String::as_str).collect();
        writeln!(script, "SELECT {} FROM bench_values WHERE n = :n \\gset", columns.join(", ")).unwrap();
        for statement in &self.statements {
            writeln!(script, "{};", statement.with(|column| format!(":{column}"))).unwrap();
        }
        script
    }

    /// So many transactions by so many clients. The time that reads the values, which the shop has from elsewhere, is not counted.
    pub async fn block(&mut self, bench: &Bench, work: &Work<'_>, skip: usize) -> Replayed {
        let Work { clients, each, effect, .. } = *work;
        let db = connect(&bench.cluster.url(&self.database)).await;
        let before: i64 = db.query_one(effect, &[]).await.unwrap().get(0);
        assert!(self.sent + clients * each <= self.available, "{} of {} transactions are used up", self.sent, self.available);
        let files = bench.dir.join("pgbench");
        let _ = fs::remove_dir_all(&files);
        fs::create_dir_all(&files).unwrap();
        let script = files.join("script.sql");
        fs::write(&script, self.script()).unwrap();
        let mut command = Command::new(&bench.options.pgbench);
        command.args(["-n", "-M", "prepared", "-r", "-l", "-j", "2"]).args(["-c", &clients.to_string(), "-t", &each.to_string()]);
        command.args(["-D", &format!("base={}", self.sent), "-D", &format!("each={each}"), "-D", "i=0"]);
        command.arg("-f").arg(&script).arg(format!("--log-prefix={}/log", files.display()));
        let said = command.arg(bench.cluster.url(&self.database)).output().await.unwrap();
        let text = String::from_utf8_lossy(&said.stdout);
        let whole = text.contains(&format!("actually processed: {0}/{0}", clients * each));
        assert!(said.status.success() && whole, "pgbench: {text}{}", String::from_utf8_lossy(&said.stderr));
        let after: i64 = db.query_one(effect, &[]).await.unwrap().get(0);
        assert_eq!(usize::try_from(after - before).unwrap(), clients * each, "each transaction did what the shop's did");
        self.sent += clients * each;
        let calls = calls(&files, clients);
        let statements = latencies(&text);
        let reading = statements.iter().filter(|(sql, _)| sql.contains("bench_values")).map(|(_, ms)| ms).sum::<f64>();
        let share = reading / statements.iter().map(|(_, ms)| ms).sum::<f64>();
        Replayed { rate: rate(&calls, skip) / (1.0 - share), p95_ms: p95_ms(&calls, skip) * (1.0 - share), statements }
    }

    pub fn database(&self) -> &str {
        &self.database
    }
}

/// Whether it only begins or ends the transaction.
fn is_frame(sql: &str) -> bool {
    ["BEGIN", "START", "COMMIT"].iter().any(|word| sql.trim_start().starts_with(word))
}

/// Whether pgbench would read a variable in the text: a colon before a word, but for a cast.
fn would_be_replaced(sql: &str) -> bool {
    let bytes = sql.as_bytes();
    let is_word = |at: usize| bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let is_colon = |at: usize| bytes.get(at) == Some(&b':');
    (0..bytes.len()).any(|at| is_colon(at) && is_word(at + 1) && !(at > 0 && is_colon(at - 1)))
}

/// The values as rows of `bench_values`, a hundred at a time.
async fn fill(db: &Client, recording: &Recording, kept: &[(usize, usize)]) {
    let row = |(n, transaction): (usize, &Vec<Vec<Value>>)| {
        let values: Vec<String> = kept.iter().map(|(s, v)| literal(&transaction[*s][*v])).collect();
        format!("({n}, {})", values.join(", "))
    };
    let rows: Vec<String> = recording.values.iter().enumerate().map(row).collect();
    for rows in rows.chunks(100) {
        db.batch_execute(&format!("INSERT INTO bench_values VALUES {}", rows.join(", "))).await.unwrap();
    }
    db.batch_execute("VACUUM ANALYZE bench_values").await.unwrap();
}

fn literal(value: &Value) -> String {
    value.as_ref().map_or_else(|| "NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")))
}

/// The same statements in the same order, in one call.
fn function(statements: &[Statement]) -> String {
    let mut body = String::new();
    for statement in statements.iter().filter(|statement| !is_frame(&statement.sql)) {
        let sql = statement.with(|column| format!("bench_v.{column}"));
        match statement.returns_rows {
            true => writeln!(body, "FOR bench_r IN {sql} LOOP NULL; END LOOP;").unwrap(),
            false => writeln!(body, "{sql};").unwrap(),
        }
    }
    format!(
        "CREATE FUNCTION bench_transaction(bench_n int) RETURNS void LANGUAGE plpgsql AS $bench$
         DECLARE bench_v bench_values; bench_r record;
         BEGIN SELECT * INTO bench_v FROM bench_values WHERE n = bench_n;\n{body} END $bench$"
    )
}

/// Every client's transactions, from pgbench's logs: client, number, microseconds, script, second, microsecond.
fn calls(files: &Path, clients: usize) -> Vec<Vec<Call>> {
    let mut found = vec![Vec::new(); clients];
    for entry in fs::read_dir(files).unwrap().flatten().filter(|entry| entry.file_name() != "script.sql") {
        for line in fs::read_to_string(entry.path()).unwrap().lines() {
            let fields: Vec<f64> = line.split(' ').map(|field| field.parse().unwrap()).collect();
            found[fields[0] as usize].push(Call { end: fields[4] + fields[5] / 1e6, seconds: fields[2] / 1e6 });
        }
    }
    found.iter_mut().for_each(|calls| calls.sort_by(|a, b| a.end.total_cmp(&b.end)));
    found
}

/// Statements and their mean latencies, as `-r` prints them: milliseconds, failures, text.
fn latencies(text: &str) -> Vec<(String, f64)> {
    let list = text.split("statement latencies in milliseconds").nth(1).unwrap_or_default();
    let of = |line: &str| {
        let mut words = line.split_whitespace();
        let ms = words.next()?.parse::<f64>().ok()?;
        words.next()?.parse::<u64>().ok()?;
        Some((words.collect::<Vec<_>>().join(" "), ms))
    };
    list.lines().filter_map(of).collect()
}

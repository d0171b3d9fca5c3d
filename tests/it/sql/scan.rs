//! Reads the statements out of the sources: string constants, and what `sql!`, `insert!` and `insert_all!` make of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A statement, and where it stands.
#[derive(Debug, Clone)]
pub struct Statement {
    /// `src/orders/store.rs FIND`; without the constant's name where it has none.
    pub place: String,
    pub sql: String,
}

/// What a statement begins with.
const VERBS: [&str; 5] = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
/// Statements put together while the server runs stand here alone; their feature lists them.
const LISTED_ELSEWHERE: [&str; 2] = ["src/catalog/search_sql.rs", "src/catalog/store.rs"];

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Text(String),
    Word(String),
    Sign(char),
}

/// A file's tokens up to its tests.
struct Source {
    name: String,
    text: String,
    tokens: Vec<Token>,
}

/// Every statement of these files, and what is wrong with how statements are written in them.
pub fn scan(files: &[PathBuf], root: &Path) -> (Vec<Statement>, Vec<String>) {
    let sources: Vec<Source> = files.iter().map(|file| Source::read(file, root)).collect();
    let constants: Vec<(usize, String, Vec<Token>)> = sources
        .iter()
        .enumerate()
        .flat_map(|(at, source)| source.constants().map(move |(name, tokens)| (at, name, tokens)))
        .collect();
    let all = Constants { sources: &sources, constants: &constants };
    let mut wrong = Vec::new();
    let mut found = Vec::new();
    let mut parts = BTreeSet::new(); // constants that are parts of others: those are looked at instead
    for (at, source) in sources.iter().enumerate() {
        let mut statement = |name: &str, sql: String| {
            found.push((at, name.to_owned(), Statement { place: format!("{} {name}", source.name).trim_end().to_owned(), sql }));
        };
        let mut i = 0;
        let mut inside = 0; // the end of the last macro: its strings are parts
        while i < source.tokens.len() {
            let rest = &source.tokens[i..];
            let name = source.name_before(i);
            match rest {
                [Token::Word(word), Token::Sign('!'), Token::Sign('('), ..] if i >= inside => match word.as_str() {
                    "sql" | "insert" | "insert_all" => {
                        let arguments = group(&rest[2..]);
                        inside = i + 2 + arguments.len() + 2;
                        let made = match word.as_str() {
                            "sql" => all.join(at, arguments, &mut parts),
                            "insert" => all.insert(at, arguments, &mut parts),
                            _ => Ok(insert_all(arguments)),
                        };
                        match made {
                            Ok(sql) => statement(&name, sql),
                            Err(what) => wrong.push(format!("{} {name}: {what}", source.name)),
                        }
                    }
                    "format" => {
                        if let Some(Token::Text(text)) = rest.get(3)
                            && is_statement(text)
                        {
                            inside = i + 4;
                            if !LISTED_ELSEWHERE.contains(&source.name.as_str()) {
                                wrong.push(format!(
                                    "{}: made while the server runs: use sql!, or list its variants: {text}",
                                    source.name
                                ));
                            }
                        }
                    }
                    _ => {}
                },
                [Token::Text(text), ..] if i >= inside => statement(&name, text.clone()),
                _ => {}
            }
            i += 1;
        }
    }
    let statements: Vec<Statement> = found
        .into_iter()
        .filter(|(at, name, statement)| is_statement(&statement.sql) && !parts.contains(&(*at, name.clone())))
        .map(|(_, _, statement)| statement)
        .collect();
    wrong.extend(
        statements.iter().filter(|s| has_star(&s.sql)).map(|s| format!("{}: name the columns instead of *: {}", s.place, s.sql)),
    );
    (statements, wrong)
}

fn is_statement(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    VERBS.contains(&first) && text.split_whitespace().count() > 1
}

/// `SELECT *`, `RETURNING *`, `SELECT o.*`, `, o.*`: but not `count(*)` and not a product.
fn has_star(sql: &str) -> bool {
    let words: Vec<&str> = sql.split_whitespace().collect();
    let star = |word: &str| {
        let word = word.trim_end_matches(',');
        word == "*" || word.strip_suffix(".*").is_some_and(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    words.windows(2).any(|pair| {
        let begins = ["SELECT", "RETURNING", "(SELECT", "DISTINCT"].contains(&pair[0]) || pair[0].ends_with(',');
        begins && star(pair[1])
    })
}

impl Source {
    fn read(file: &Path, root: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
        let name = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        Self { tokens: tokens(&text), name, text }
    }

    /// `const NAME: … = …;`, each with the tokens of its value.
    fn constants(&self) -> impl Iterator<Item = (String, Vec<Token>)> {
        let tokens = &self.tokens;
        (0..tokens.len()).filter_map(move |i| match &tokens[i..] {
            [Token::Word(word), Token::Word(name), Token::Sign(':'), ..] if word == "const" => {
                let value = i + tokens[i..].iter().position(|t| *t == Token::Sign('='))? + 1;
                let end = value + tokens[value..].iter().position(|t| *t == Token::Sign(';'))?;
                Some((name.clone(), tokens[value..end].to_vec()))
            }
            _ => None,
        })
    }

    /// The constant that is being defined at this token, if one is.
    fn name_before(&self, at: usize) -> String {
        let from = at.saturating_sub(12);
        let begin = (from..at).rev().find(|i| self.tokens[*i] == Token::Sign(';') || self.tokens[*i] == Token::Sign('{'));
        let names = (begin.unwrap_or(from)..at).rev().find_map(|i| match &self.tokens[i..] {
            [Token::Word(word), Token::Word(name), ..] if word == "const" => Some(name.clone()),
            _ => None,
        });
        names.unwrap_or_default()
    }
}

struct Constants<'a> {
    sources: &'a [Source],
    constants: &'a [(usize, String, Vec<Token>)],
}

impl Constants<'_> {
    /// The texts of these arguments, one after the other.
    fn join(&self, at: usize, arguments: &[Token], parts: &mut BTreeSet<(usize, String)>) -> Result<String, String> {
        let mut text = String::new();
        for argument in arguments.split(|t| *t == Token::Sign(',')).filter(|argument| !argument.is_empty()) {
            text += &self.text(at, argument, parts)?;
        }
        Ok(text)
    }

    fn text(&self, at: usize, value: &[Token], parts: &mut BTreeSet<(usize, String)>) -> Result<String, String> {
        match value {
            [Token::Text(text)] => Ok(text.clone()),
            [Token::Word(word), Token::Sign('!'), rest @ ..] if word == "sql" || word == "concat" => {
                self.join(at, group(rest), parts)
            }
            _ => {
                let path: Vec<&str> =
                    value.iter().filter_map(|t| if let Token::Word(word) = t { Some(word.as_str()) } else { None }).collect();
                let (home, name, tokens) = self.find(at, &path)?;
                parts.insert((*home, name.clone()));
                self.text(*home, tokens, parts)
            }
        }
    }

    /// The constant of that path, seen from a file.
    fn find(&self, at: usize, path: &[&str]) -> Result<&(usize, String, Vec<Token>), String> {
        let (name, above) = path.split_last().ok_or("not a text and not a constant")?;
        let named: Vec<_> = self.constants.iter().filter(|(_, n, _)| n == name).collect();
        let of_type = |home: usize, kind: &str| self.sources[home].text.contains(&format!("impl {kind} {{"));
        let in_module = |home: usize, module: &str| {
            let file = Path::new(&self.sources[home].name);
            let (stem, folder) = (file.file_stem().unwrap(), file.parent().unwrap().file_name().unwrap());
            stem == module || (stem == "mod" && folder == module)
        };
        let imported = |home: usize| {
            let text = &self.sources[at].text;
            let stem = Path::new(&self.sources[home].name).file_stem().unwrap().to_str().unwrap();
            text.contains(&format!("{stem}::{name}")) || text.contains(&format!("{stem}::{{{name}"))
        };
        let fits = |home: usize| match above.last() {
            Some(kind) if kind.starts_with(char::is_uppercase) => of_type(home, kind),
            Some(module) => in_module(home, module),
            None => home == at,
        };
        let mut candidates: Vec<_> = named.iter().filter(|(home, ..)| fits(*home)).collect();
        if candidates.is_empty() && above.is_empty() {
            candidates = named.iter().filter(|(home, ..)| named.len() == 1 || imported(*home)).collect();
        }
        match candidates[..] {
            [one] => Ok(one),
            _ => Err(format!("{} constants are called {}", candidates.len(), path.join("::"))),
        }
    }

    fn insert(&self, at: usize, arguments: &[Token], parts: &mut BTreeSet<(usize, String)>) -> Result<String, String> {
        let (table, row, end) = pieces(arguments);
        let columns: Vec<&str> = row.iter().map(|(column, _)| *column).collect();
        let values: Vec<String> = (1..=columns.len()).map(|n| format!("${n}")).collect();
        let end = end.split(|t| *t == Token::Sign(',')).filter(|part| !part.is_empty());
        let end = end.map(|part| self.text(at, part, parts)).collect::<Result<Vec<_>, _>>()?;
        Ok(format!("INSERT INTO {table} ({}) VALUES ({}) {}", columns.join(", "), values.join(", "), end.join(" ")))
    }
}

fn insert_all(arguments: &[Token]) -> String {
    let (table, row, _) = pieces(arguments);
    let columns: Vec<&str> = row.iter().map(|(column, _)| *column).collect();
    let values: Vec<String> = row.iter().zip(1..).map(|((_, kind), n)| format!("(${n}::{kind}[])[n]")).collect();
    let (columns, values, first) = (columns.join(", "), values.join(", "), row[0].1);
    format!("INSERT INTO {table} ({columns}) SELECT {values} FROM unnest($1::{first}[]) WITH ORDINALITY AS l (first, n)")
}

/// The table, the columns with their kinds, and what follows.
fn pieces(arguments: &[Token]) -> (&str, Vec<(&str, &str)>, &[Token]) {
    let Some(Token::Text(table)) = arguments.first() else { panic!("a table: {arguments:?}") };
    let row = group(&arguments[1..]);
    let mut columns = Vec::new();
    let mut depth = 0;
    for (i, token) in row.iter().enumerate() {
        let is_first = i == 0 || (depth == 0 && row[i - 1] == Token::Sign(','));
        match (token, row.get(i + 1)) {
            (Token::Sign('(' | '{' | '['), _) => depth += 1,
            (Token::Sign(')' | '}' | ']'), _) => depth -= 1,
            (Token::Word(column), Some(Token::Word(kind))) if is_first => columns.push((column.as_str(), kind.as_str())),
            (Token::Word(column), Some(_)) if is_first => columns.push((column.as_str(), "")),
            _ => {}
        }
    }
    (table, columns, &arguments[row.len() + 3..])
}

/// What stands within the brackets that these tokens begin with.
fn group(tokens: &[Token]) -> &[Token] {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('(' | '{' | '[') => depth += 1,
            Token::Sign(')' | '}' | ']') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &tokens[1..i];
        }
    }
    panic!("a bracket that does not close")
}

fn tokens(source: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(length) = raw(rest, &mut found).or_else(|| quoted(rest, &mut found)).or_else(|| character(rest)) {
            length
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push(Token::Word(rest[..length].to_owned()));
            length
        } else {
            if !first.is_whitespace() {
                found.push(Token::Sign(first));
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// `r#"…"#`.
fn raw(rest: &str, found: &mut Vec<Token>) -> Option<usize> {
    let hashes = rest.strip_prefix('r')?.chars().take_while(|c| *c == '#').count();
    let begin = 1 + hashes + 1;
    rest[1 + hashes..].starts_with('"').then_some(())?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = rest[begin..].find(&end)?;
    found.push(Token::Text(rest[begin..begin + length].to_owned()));
    Some(begin + length + end.len())
}

fn quoted(rest: &str, found: &mut Vec<Token>) -> Option<usize> {
    let bytes = rest.strip_prefix('"')?.as_bytes();
    let (mut text, mut i) = (Vec::new(), 0);
    loop {
        match bytes.get(i)? {
            b'"' => break,
            b'\\' => {
                match bytes.get(i + 1)? {
                    b'n' => text.push(b'\n'),
                    b't' => text.push(b'\t'),
                    // A line that goes on: what indents the next one is not part of it.
                    b'\n' => i += bytes[i + 2..].iter().take_while(|b| b.is_ascii_whitespace()).count(),
                    other => text.push(*other),
                }
                i += 2;
            }
            byte => {
                text.push(*byte);
                i += 1;
            }
        }
    }
    found.push(Token::Text(String::from_utf8(text).ok()?));
    Some(i + 2)
}

/// `'x'` and `'\n'`; a lifetime is left to the caller.
fn character(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let length = match inside.strip_prefix('\\') {
        Some(escaped) => escaped.find('\'')? + 1,
        None => inside.chars().next()?.len_utf8(),
    };
    inside[length..].starts_with('\'').then_some(length + 2)
}

/// Statements by their text: one that stands twice is looked at once.
pub fn distinct(statements: Vec<Statement>) -> Vec<Statement> {
    let mut by_text: BTreeMap<String, Statement> = BTreeMap::new();
    for statement in statements {
        by_text.entry(statement.sql.clone()).or_insert(statement);
    }
    let mut all: Vec<Statement> = by_text.into_values().collect();
    all.sort_by(|a, b| (&a.place, &a.sql).cmp(&(&b.place, &b.sql)));
    all
}

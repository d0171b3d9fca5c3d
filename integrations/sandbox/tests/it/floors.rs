//! The house plan of all crates: no files that import each other in a circle, and in the sandbox no import that looks up. Read from the sources: no crate is built for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The files of one crate, by the path of their module: `books::card`; the root's is empty.
struct Crate {
    files: BTreeMap<String, File>,
}

struct File {
    /// As in `src/`.
    name: String,
    tokens: Vec<String>,
}

impl Crate {
    /// `sources`: file names as in `src/`, with their text. Tests are left out.
    fn read(sources: &[(String, String)]) -> Self {
        let mut files = BTreeMap::new();
        let mut tests = BTreeSet::new();
        for (name, text) in sources {
            let module = module_of(name);
            let (text, test_modules) = without_tests(text);
            tests.extend(test_modules.into_iter().map(|child| join(&module, &child)));
            files.insert(module, File { name: name.clone(), tokens: tokens(&text) });
        }
        let is_test = |module: &str| tests.iter().any(|test| module == test || module.starts_with(&format!("{test}::")));
        files.retain(|module, _| !is_test(module));
        Self { files }
    }

    fn at(folder: &Path) -> Self {
        let mut sources = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(&next).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "rs") && path != folder.join("main.rs") {
                    let name = path.strip_prefix(folder).expect("inside").to_string_lossy().replace('\\', "/");
                    sources.push((name, fs::read_to_string(&path).expect("text")));
                }
            }
        }
        Self::read(&sources)
    }

    /// Module → the modules whose files it names. What the root hands on from a file is an arrow to that file. What a file
    /// takes by `super` from its own parent is none: the two are one module in two files.
    fn arrows(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let handed_on = self.handed_on();
        let mut arrows = BTreeMap::new();
        for (module, file) in &self.files {
            let children: BTreeSet<String> = declared(&file.tokens).collect();
            let mut to = BTreeSet::new();
            for (path, is_super) in paths(&file.tokens, module, &children) {
                let target = self.target(&path);
                let target = match (target, path.first()) {
                    ("", Some(name)) => handed_on.get(name.as_str()).copied().unwrap_or(""),
                    _ => target,
                };
                let is_own_parent = is_super && join(target, module.rsplit("::").next().unwrap_or("")) == *module;
                if target != module && !is_own_parent {
                    to.insert(target);
                }
            }
            arrows.insert(module.as_str(), to);
        }
        arrows
    }

    /// The module with a file that a path leads into: the longest that fits.
    fn target(&self, path: &[String]) -> &str {
        let fits = |n: usize| self.files.get_key_value(&path[..n].join("::")).map(|(module, _)| module.as_str());
        (1..=path.len()).rev().find_map(fits).unwrap_or("")
    }

    /// Names of files' items that the root hands on: `pub use money::Money`.
    fn handed_on(&self) -> BTreeMap<String, &str> {
        let Some(root) = self.files.get("") else { return BTreeMap::new() };
        let children = declared(&root.tokens).collect();
        let named = paths(&root.tokens, "", &children).into_iter().map(|(path, _)| path).filter(|path| path.len() > 1);
        named
            .filter_map(|path| Some((path.last()?.clone(), self.target(&path))))
            .filter(|(_, module)| !module.is_empty())
            .collect()
    }

    /// A circle of files, each of which imports the next. The root is in none: what it defines belongs to all files.
    fn circle(&self) -> Option<String> {
        let arrows = self.arrows();
        // What is imported by nothing that is left, or imports nothing that is left, is in no circle.
        let mut left: BTreeSet<&str> = arrows.keys().copied().filter(|module| !module.is_empty()).collect();
        loop {
            let in_circle = |module: &&str| {
                let goes = arrows[module].iter().any(|to| left.contains(to));
                goes && left.iter().any(|from| arrows[from].contains(module))
            };
            let kept: BTreeSet<&str> = left.iter().copied().filter(in_circle).collect();
            if kept.len() == left.len() {
                break;
            }
            left = kept;
        }
        let mut way = vec![*left.first()?];
        loop {
            let next = *arrows[way.last()?].iter().find(|to| left.contains(*to))?;
            if let Some(begin) = way.iter().position(|module| *module == next) {
                let names: Vec<&str> =
                    way[begin..].iter().chain([&next]).map(|module| self.files[*module].name.as_str()).collect();
                return Some(names.join(" -> "));
            }
            way.push(next);
        }
    }

    /// Imports of a floor by a lower one. The floors are the root's modules in their order; the root is the roof.
    fn looks_up(&self) -> Vec<String> {
        let floors: Vec<String> = declared(&self.files[""].tokens).collect();
        let floor = |module: &str| {
            let first = module.split("::").next().unwrap_or("");
            floors.iter().position(|name| name == first).unwrap_or(floors.len())
        };
        let mut found = Vec::new();
        for (from, targets) in self.arrows() {
            for to in targets.into_iter().filter(|to| floor(to) > floor(from)) {
                found.push(format!("{} -> {}", self.files[from].name, self.files[to].name));
            }
        }
        found
    }
}

fn module_of(name: &str) -> String {
    let path = name.trim_end_matches(".rs");
    match path {
        "lib" => String::new(),
        path => path.trim_end_matches("/mod").replace('/', "::"),
    }
}

fn join(module: &str, child: &str) -> String {
    if module.is_empty() { child.to_owned() } else { format!("{module}::{child}") }
}

/// The text up to its own tests, and the modules beside it that are tests.
fn without_tests(text: &str) -> (String, Vec<String>) {
    let (mut kept, mut modules, mut is_test) = (String::new(), Vec::new(), false);
    for line in text.lines() {
        let words = line.trim();
        let module = words.trim_start_matches("pub(crate) ").strip_prefix("mod ");
        match module {
            Some(rest) if is_test => match rest.strip_suffix(';') {
                Some(name) => modules.push(name.to_owned()),
                None => break, // they stand at the end
            },
            _ => {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        is_test = words == "#[cfg(test)]" || (is_test && words.starts_with('#'));
    }
    (kept, modules)
}

/// Names and signs, without comments and texts.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '/' if rest.peek() == Some(&'/') => while rest.next().is_some_and(|c| c != '\n') {},
            '"' => {
                while let Some(c) = rest.next() {
                    match c {
                        '\\' => drop(rest.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '\'' if rest.peek() == Some(&'"') => drop(rest.next()), // the character `"` begins no text
            ':' if rest.peek() == Some(&':') => {
                rest.next();
                found.push("::".to_owned());
            }
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = String::from(c);
                while let Some(&c) = rest.peek().filter(|c| c.is_alphanumeric() || **c == '_') {
                    word.push(c);
                    rest.next();
                }
                found.push(word);
            }
            c if c.is_whitespace() => {}
            c => found.push(c.to_string()),
        }
    }
    found
}

/// The modules that a file declares to have files of their own.
fn declared(tokens: &[String]) -> impl Iterator<Item = String> + '_ {
    tokens.windows(3).filter(|next| next[0] == "mod" && next[2] == ";").map(|next| next[1].clone())
}

/// Every path of a file into its own crate, from the root: those that begin with `crate`, `super`, `self` or a child; and
/// whether it begins with `super`.
fn paths(tokens: &[String], module: &str, children: &BTreeSet<String>) -> Vec<(Vec<String>, bool)> {
    let here: Vec<String> = module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let mut found = Vec::new();
    for at in 0..tokens.len().saturating_sub(1) {
        // `pub(in crate::payments)` says who may see something, and takes nothing.
        let shows = tokens[..at].ends_with(&["pub", "(", "in"].map(str::to_owned));
        let begins = tokens[at + 1] == "::" && !shows && (at == 0 || tokens[at - 1] != "::");
        if !begins {
            continue;
        }
        let is_super = tokens[at] == "super";
        let (base, at) = match tokens[at].as_str() {
            "crate" => (Vec::new(), at + 2),
            "self" => (here.clone(), at + 2),
            "super" => {
                let mut base = here.clone();
                let mut at = at;
                while tokens.get(at).is_some_and(|word| word == "super") {
                    base.pop();
                    at += 2;
                }
                (base, at)
            }
            child if children.contains(child) => (here.clone(), at),
            _ => continue,
        };
        let mut named = Vec::new();
        branches(tokens, at, &base, &mut named);
        found.extend(named.into_iter().map(|path| (path, is_super)));
    }
    found
}

/// Follows one path, or each of those in braces. The position behind it.
fn branches(tokens: &[String], mut at: usize, base: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = base.to_vec();
    loop {
        match tokens.get(at).map_or("", String::as_str) {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = branches(tokens, at, &path, found);
                    while tokens.get(at).is_some_and(|token| token != "," && token != "}") {
                        at += 1; // `as Name`
                    }
                    if tokens.get(at).is_some_and(|token| token == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "self" | "*" => at += 1,
            name if name.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                path.push(name.to_owned());
                at += 1;
            }
            _ => break,
        }
        if tokens.get(at).is_some_and(|token| token == "::") {
            at += 1;
        } else {
            break;
        }
    }
    found.push(path);
    at
}

fn crates() -> Vec<(String, Crate)> {
    let integrations = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("integrations");
    let root = integrations.parent().expect("the root");
    let mut found = vec![("vitrine".to_owned(), Crate::at(&root.join("src")))];
    for entry in fs::read_dir(integrations).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.join("src").is_dir() {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            found.push((name, Crate::at(&path.join("src"))));
        }
    }
    found
}

#[test]
fn no_files_of_a_crate_import_each_other_in_a_circle() {
    let crates = crates();
    assert!(crates.len() > 10, "the search itself works: {}", crates.len());
    let circles: Vec<String> =
        crates.iter().filter_map(|(name, sources)| Some(format!("{name}: {}", sources.circle()?))).collect();
    assert_eq!(circles, Vec::<String>::new());
}

#[test]
fn a_file_of_the_sandbox_imports_from_its_floor_and_lower_ones_alone() {
    let sandbox = Crate::at(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let floors: Vec<String> = declared(&sandbox.files[""].tokens).collect();
    assert_eq!(floors, ["formats", "books", "world", "providers", "server"]);
    let arrows: usize = sandbox.arrows().values().map(BTreeSet::len).sum();
    assert!(arrows > 200, "the search itself works: {arrows}");
    assert_eq!(sandbox.looks_up(), Vec::<String>::new());
}

fn house(files: &[(&str, &str)]) -> Crate {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Crate::read(&files)
}

/// Three floors without a fault; `faulty` takes the place of its file.
fn house_with(faulty: (&str, &str)) -> Crate {
    let mut files = vec![
        ("lib.rs", "mod ground;\nmod middle;\nmod roof;\npub use ground::stone::Stone;\npub const NAME: &str = \"house\";"),
        ("ground/mod.rs", "pub mod stone;\npub mod wood;"),
        ("ground/stone.rs", "pub struct Stone; // crate::roof::Tile\nconst TEXT: &str = \"crate::roof::Tile\";"),
        ("ground/wood.rs", "use crate::{Stone};"),
        ("middle.rs", "use crate::ground::{stone::Stone as S, wood};"),
        (
            "roof.rs",
            "use crate::middle;\nstruct Tile(crate::Stone);\n#[cfg(test)]\nmod tests {\n use super::*;\n use crate::roof::tests;\n}",
        ),
    ];
    files.retain(|(name, _)| *name != faulty.0);
    files.push(faulty);
    house(&files)
}

#[test]
fn a_source_tree_in_order_has_no_findings() {
    let house = house_with(("middle.rs", "use crate::ground::{stone::Stone as S, wood};"));
    assert_eq!(house.circle(), None);
    assert_eq!(house.looks_up(), Vec::<String>::new());
    let arrows = house.arrows();
    assert_eq!(arrows["middle"], BTreeSet::from(["ground::stone", "ground::wood"]));
    assert_eq!(arrows["roof"], BTreeSet::from(["ground::stone", "middle"]));
    assert_eq!(arrows["ground::wood"], BTreeSet::from(["ground::stone"]));
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    for faulty in [
        "use crate::ground::wood::Beam;",
        "use crate::{ground::wood::{self, Beam}};",
        "use super::wood::Beam;",
        "fn beam() -> crate::ground::wood::Beam { todo!() }",
    ] {
        let circle = house_with(("ground/stone.rs", faulty)).circle();
        assert_eq!(circle.as_deref(), Some("ground/stone.rs -> ground/wood.rs -> ground/stone.rs"), "{faulty}");
    }
    let part_of_its_parent = house_with(("ground/stone.rs", "use super::Weight;"));
    assert_eq!(part_of_its_parent.circle(), None);
    let by_its_folder = house(&[
        ("lib.rs", "mod roof;"),
        ("roof/mod.rs", "mod tile;\nfn lay() { tile::lay() }\npub const PITCH: u8 = 1;"),
        ("roof/tile.rs", "use crate::roof::PITCH;"),
    ]);
    assert_eq!(by_its_folder.circle().as_deref(), Some("roof/mod.rs -> roof/tile.rs -> roof/mod.rs"));
}

#[test]
fn an_import_that_looks_up_is_found() {
    let house = house_with(("ground/wood.rs", "use crate::roof::Tile;\nuse crate::middle;"));
    assert_eq!(house.looks_up(), ["ground/wood.rs -> middle.rs", "ground/wood.rs -> roof.rs"]);
    let house = house_with(("middle.rs", "use crate::NAME;"));
    assert_eq!(house.looks_up(), ["middle.rs -> lib.rs"]);
}

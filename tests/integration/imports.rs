//! Imports between the files of `src` form no circle, and folders import downwards only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The folders that a folder may import, as docs/architecture.md draws them. Folders and files that
/// are not listed (`app`, `check`, `cli`, `main`) put the parts together and may import all.
const LAYERS: [(&str, &[&str]); 14] = [
    ("clock", &[]),
    ("shard", &[]),
    ("secret", &[]),
    ("session", &["clock"]),
    ("tradernet", &["clock", "session"]),
    ("status", &["clock", "session", "tradernet"]),
    (
        "config",
        &["clock", "secret", "session", "shard", "tradernet"],
    ),
    ("logging", &["clock", "config"]),
    (
        "metrics",
        &["clock", "logging", "session", "status", "tradernet"],
    ),
    (
        "poller",
        &[
            "clock",
            "config",
            "secret",
            "session",
            "status",
            "tradernet",
        ],
    ),
    (
        "web",
        &[
            "clock",
            "config",
            "metrics",
            "session",
            "status",
            "tradernet",
        ],
    ),
    ("healthcheck", &["config", "tradernet"]),
    ("simulator", &[]),
    (
        "demo",
        &["config", "secret", "session", "simulator", "tradernet"],
    ),
];

/// Files that are still in a circle. Remove a name with its circle; add none.
const KNOWN: [&str; 4] = [
    "poller",
    "poller::attempt",
    "tradernet::response",
    "tradernet::response::session",
];

type Module = Vec<String>;

/// What a file says: its `use` declarations, and the paths in its other code.
struct Source {
    uses: Vec<Use>,
    paths: Vec<Module>,
    words: BTreeSet<String>,
}

struct Use {
    path: Module,
    name: String,
    is_public: bool,
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    let imports = imports();
    let circles: Vec<String> = imports
        .keys()
        .filter(|module| reachable(&imports, module).contains(*module))
        .filter(|module| !KNOWN.contains(&module.join("::").as_str()))
        .map(|module| {
            let back = |to: &&Module| reachable(&imports, to).contains(module);
            let next: Vec<_> = imports[module]
                .iter()
                .filter(back)
                .map(|to| to.join("::"))
                .collect();
            format!("{} -> {}", module.join("::"), next.join(", "))
        })
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn folders_import_downwards() {
    for (module, imported) in imports() {
        let Some(folder) = module.first() else {
            continue;
        };
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| name == folder) else {
            continue;
        };
        for to in imported.iter().filter_map(|to| to.first()) {
            assert!(
                to == folder || allowed.contains(&to.as_str()),
                "{} imports {to}",
                module.join("::")
            );
        }
    }
}

fn reachable(imports: &BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&Module> = imports[from].iter().collect();
    while let Some(module) = open.pop() {
        if found.insert(module.clone()) {
            open.extend(&imports[module]);
        }
    }
    found
}

/// Every file's module, and the modules whose items it uses. A re-export counts for the file that
/// defines the item.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let mut sources = BTreeMap::new();
    read_folder(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path(),
        &[],
        &mut sources,
    );
    assert!(sources.len() > 50, "{}", sources.len());
    let of = |module: &Module, source: &Source| {
        let used = source
            .uses
            .iter()
            .filter(|of| !of.is_public || source.words.contains(&of.name));
        let paths = used.map(|of| &of.path).chain(&source.paths);
        paths
            .filter_map(|path| absolute(&sources, module, path))
            .map(|path| defining_module(&sources, path))
            .filter(|to| to != module)
            .collect()
    };
    sources
        .iter()
        .map(|(module, source)| (module.clone(), of(module, source)))
        .collect()
}

fn read_folder(folder: &Path, module: &[String], sources: &mut BTreeMap<Module, Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if ["tests", "test_support", "main"].contains(&name.as_str()) {
            continue;
        }
        let inner = [module, &[name.clone()]].concat();
        if path.is_dir() {
            read_folder(&path, &inner, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let is_parent = ["mod", "lib"].contains(&name.as_str());
            let of = if is_parent { module.to_vec() } else { inner };
            sources.insert(of, read(&std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// A path from the root of the crate; `None` for one into another crate or to a local name.
fn absolute(sources: &BTreeMap<Module, Source>, from: &Module, path: &Module) -> Option<Module> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    let start = match path.first()?.as_str() {
        "crate" => &[],
        "self" => from.as_slice(),
        "super" => &from[..from.len() - supers],
        child => {
            let inner = [from.as_slice(), &[child.to_owned()]].concat();
            return sources
                .contains_key(&inner)
                .then(|| [&inner, &path[1..]].concat());
        }
    };
    Some([start, &path[supers.max(1)..]].concat())
}

fn defining_module(sources: &BTreeMap<Module, Source>, mut path: Module) -> Module {
    path.retain(|part| part != "self");
    let depth = (0..=path.len())
        .rev()
        .find(|depth| sources.contains_key(&path[..*depth]));
    let (module, rest) = path.split_at(depth.unwrap());
    let module = module.to_vec();
    let item = rest.first();
    let re_export = sources[&module]
        .uses
        .iter()
        .find(|of| of.is_public && Some(&of.name) == item);
    match re_export.and_then(|of| absolute(sources, &module, &of.path)) {
        Some(path) if path.len() > module.len() || !path.starts_with(&module) => {
            defining_module(sources, path)
        }
        _ => module,
    }
}

/// Reads a file's code without its test modules.
fn read(text: &str) -> Source {
    let tokens = without_tests(tokens(text));
    let mut source = Source {
        uses: Vec::new(),
        paths: Vec::new(),
        words: BTreeSet::new(),
    };
    let mut at = 0;
    let mut is_public = false;
    while at < tokens.len() {
        match tokens[at].as_str() {
            "use" => {
                let end = at + tokens[at..].iter().position(|token| token == ";").unwrap();
                read_tree(&tokens[at + 1..end], &[], is_public, &mut source.uses);
                at = end;
            }
            "pub" => {
                is_public = true;
                // `pub(crate)` and the like.
                if tokens[at + 1] == "(" {
                    at += tokens[at..].iter().position(|token| token == ")").unwrap();
                }
                at += 1;
                continue;
            }
            word if is_word(word) => {
                let mut path = vec![word.to_owned()];
                while tokens.get(at + 1).is_some_and(|token| token == "::")
                    && tokens.get(at + 2).is_some_and(|token| is_word(token))
                {
                    path.push(tokens[at + 2].clone());
                    at += 2;
                }
                source.words.extend(path.iter().cloned());
                source.paths.extend((path.len() > 1).then_some(path));
            }
            _ => {}
        }
        is_public = false;
        at += 1;
    }
    source
}

/// `a::{b, c::d as e}` as two uses.
fn read_tree(tokens: &[String], prefix: &[String], is_public: bool, uses: &mut Vec<Use>) {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].as_str() {
            "::" => {}
            "as" => {
                let name = tokens[at + 1].clone();
                return uses.push(Use {
                    path,
                    name,
                    is_public,
                });
            }
            "{" => {
                let (mut depth, mut start) = (0, at + 1);
                for (end, token) in tokens.iter().enumerate().skip(at + 1) {
                    let is_end = depth == 0 && (token == "," || token == "}");
                    if is_end && end > start {
                        read_tree(&tokens[start..end], &path, is_public, uses);
                    }
                    start = if is_end { end + 1 } else { start };
                    depth += i32::from(token == "{") - i32::from(token == "}");
                }
                return;
            }
            part => path.push(part.to_owned()),
        }
        at += 1;
    }
    let name = path.last().cloned().unwrap_or_default();
    uses.push(Use {
        path,
        name,
        is_public,
    });
}

/// Removes each item under `#[cfg(test)]`.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]"].map(str::to_owned);
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].starts_with(&attribute) {
            let mut depth = 0;
            at += 7;
            while at < tokens.len() {
                let token = tokens[at].as_str();
                depth += i32::from(token == "{") - i32::from(token == "}");
                at += 1;
                if depth == 0 && (token == ";" || token == "}") {
                    break;
                }
            }
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words, `::` and single characters; no comments, strings and characters in quotes.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            let hashes = rest[1..].find('"').unwrap();
            let end = format!("\"{}", "#".repeat(hashes));
            let start = 2 + hashes;
            start + rest[start..].find(&end).unwrap() + end.len()
        } else if c == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let is_end = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                is_end
            });
            end.unwrap() + 2
        } else if c == '\'' {
            // A character, or a lifetime.
            let quoted = rest[1..]
                .starts_with('\\')
                .then(|| rest[3..].find('\'').unwrap() + 4);
            let mut after = rest[1..].char_indices().skip(1);
            quoted.unwrap_or(match after.next() {
                Some((end, '\'')) => end + 2,
                _ => 1,
            })
        } else {
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            let length = if rest.starts_with("::") {
                2
            } else {
                c.len_utf8()
            };
            let length = length.max(word.unwrap_or(rest.len()));
            if !c.is_whitespace() {
                tokens.push(rest[..length].to_owned());
            }
            length
        };
        rest = &rest[length..];
    }
    tokens
}

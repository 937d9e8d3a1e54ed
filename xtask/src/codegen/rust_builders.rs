//! `core/src/commands/`: a function for every command, and builders for those with options.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command as Process, Stdio};

use super::arguments::{self, Form, Part, Piece};
use super::facts::{Command, Facts};
use super::reply_types::Aliases;
use super::rust_arguments::{Layout, Method, Parameter, Scope, layout};
use super::rust_pieces::bare_value;
use super::rust_replies::{Replies, replies};
use super::rust_shapes;
use super::rust_vectors;
use super::rust_words::{Words, pascal, snake, type_name};
use super::shape::parse;
use crate::run::{Context, Failure, Result};
use crate::tree;

/// Gives the files with their paths in the repository.
pub(crate) fn builders(facts: &Facts, vectors: &str) -> Result<Vec<(String, String)>> {
    let aliases = rust_shapes::aliases(facts)?;
    let mut words = Words::default();
    let mut groups: BTreeMap<String, Vec<(&Command, Vec<Way>)>> = BTreeMap::new();
    for command in facts.commands.iter().filter(|command| command.internal.is_none()) {
        let ways = arguments::ways(command)?;
        ways.iter().for_each(|(_, pieces)| words.add(&owner(command), pieces));
        groups.entry(file_of(command)).or_default().push((command, ways));
    }
    let mut files = vec![
        ("core/src/commands/mod.rs".to_string(), index(groups.keys())),
        ("core/src/commands/words.rs".to_string(), formatted(&words.declarations())?),
    ];
    files.push((
        "tests/tests/commands.rs".to_string(),
        formatted(&rust_vectors::tests(facts, &words, vectors)?)?,
    ));
    for (group, commands) in &groups {
        let text = File { words: &words, aliases: &aliases, text: String::new() }.text(commands)?;
        files.push((format!("core/src/commands/{group}.rs"), formatted(&text)?));
    }
    Ok(files)
}

/// What the names of some types begin with: module and name, separated by a slash.
pub(crate) fn owner(command: &Command) -> String {
    let name = command.name.to_ascii_lowercase();
    match name.split_once('.') {
        Some((module, name)) => format!("{}/{}", pascal(module), pascal(name.trim_start_matches('_'))),
        None => format!("/{}", pascal(&name)),
    }
}

/// Commands of modules have modules of their own.
pub(crate) fn file_of(command: &Command) -> String {
    match command.name.split_once('.') {
        Some((module, _)) => module.to_ascii_lowercase(),
        None => command.group.clone(),
    }
}

fn index<'a>(groups: impl Iterator<Item = &'a String>) -> String {
    let mut modules = BTreeSet::from(["mod words;".to_string()]);
    let mut uses = BTreeSet::from(["pub use words::*;".to_string()]);
    for group in groups {
        if is_module(group) {
            modules.insert(format!("pub mod {group};"));
        } else {
            modules.insert(format!("mod {group};"));
            uses.insert(format!("pub use {group}::*;"));
        }
    }
    let lines = |all: BTreeSet<String>| {
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by_key(|line| line.trim_start_matches("pub ").to_string());
        all.join("\n")
    };
    format!(
        "{}\n\n{}\n\npub use crate::command::{{command, raw}};\npub use crate::draft::{{Open, Taken}};\n{}\n",
        include_str!("commands.rs.txt").trim_end(),
        lines(modules),
        lines(uses)
    )
}

/// Tells whether the commands of a file stand apart.
pub(crate) fn is_module(file: &str) -> bool {
    MODULES.contains(&file)
}

/// The modules whose commands stand apart.
const MODULES: [&str; 8] = ["bf", "cf", "cms", "ft", "json", "tdigest", "topk", "ts"];

/// Formats a file like the rest of the code.
fn formatted(text: &str) -> Result<String> {
    let mut process = Process::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(tree::root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("start rustfmt: install it with `rustup component add rustfmt`")?;
    if let Some(mut input) = process.stdin.take() {
        let text = text.to_string();
        std::thread::spawn(move || input.write_all(text.as_bytes()));
    }
    let output = process.wait_with_output().context("run rustfmt")?;
    if !output.status.success() {
        let broken = std::env::temp_dir().join("codegen-broken.rs");
        let _ = std::fs::write(&broken, text);
        return Err(Failure(format!("rustfmt does not understand {}", broken.display())));
    }
    String::from_utf8(output.stdout).context("read what rustfmt wrote")
}

/// A way to call a command: its name, and its pieces.
type Way = (String, Vec<Piece>);

struct File<'a> {
    words: &'a Words,
    aliases: &'a Aliases,
    text: String,
}

impl File<'_> {
    fn text(mut self, commands: &[(&Command, Vec<Way>)]) -> Result<String> {
        let mut objects: Vec<(String, Vec<Piece>, String)> = Vec::new();
        for (command, ways) in commands {
            let owner = owner(command);
            let scope = Scope { words: self.words, owner: &owner, nodes: &command.args };
            let mut found = Vec::new();
            for (way, pieces) in ways {
                let mut layout = layout(pieces, &scope, false).context(&command.name)?;
                layout.others =
                    ways.iter().map(|(name, _)| name.clone()).filter(|name| name != way).collect();
                self.command(command, way, &layout)?;
                found.append(&mut layout.objects);
            }
            while let Some((name, pieces)) = found.pop() {
                if objects.iter().any(|(other, ..)| *other == name) {
                    continue;
                }
                let inner = self.object(&name, &pieces, &scope, &command.name)?;
                found.extend(inner.objects);
                objects.push((name, pieces, command.name.clone()));
            }
        }
        Ok(self.finished())
    }

    fn finished(self) -> String {
        let code: String = self.text.lines().filter(|line| !line.trim_start().starts_with("///")).collect();
        let uses = |word: &str| {
            let word = match word {
                "self" => "draft",
                "ToArgs" => "write_all",
                word => word,
            };
            code.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
                .any(|found| found == word)
        };
        let used = |module: &str, names: &[&str]| {
            let names: Vec<_> = names.iter().copied().filter(|name| uses(name)).collect();
            if names.is_empty() {
                String::new()
            } else {
                format!("use crate::{module}::{{{}}};\n", names.join(", "))
            }
        };
        let mut head = String::from("//! Generated by `cargo xtask codegen` from `core/commands/`.\n\n");
        head += &used("argument", &["ToArg"]);
        head += &used("command", &["Command"]);
        head += &used("draft", &["self", "Draft", "Open", "Taken", "ToArgs", "builder", "part"]);
        head += &used("owned", &["Bytes", "Frame", "Paths", "Record", "String", "Vec"]);
        head += &used("table", &["RowId"]);
        if uses("PhantomData") {
            head += "use core::marker::PhantomData;\n";
        }
        format!("{head}\n{}", self.text)
    }

    fn command(&mut self, command: &Command, way: &str, layout: &Layout) -> Result {
        let shape = parse(&command.reply).map_err(Failure).context(&command.name)?;
        let replies = replies(&shape, layout, &command.args, self.aliases);
        let function = function_name(&command.name, way);
        let parameters = listed(&layout.parameters);
        let own = command.name.rsplit_once('.').map_or(&*command.name, |(_, name)| name);
        let name = type_name(&own.to_ascii_lowercase()) + &pascal(way);
        let options = !layout.methods.is_empty();
        let _ = write!(self.text, "{}", docs(command)?);
        let result = if options { &name } else { "Command" };
        let _ = writeln!(self.text, "pub fn {function}({parameters}) -> {result}<{}> {{", replies.first);
        let row = format!("const {{ draft::id({:?}) }}", command.name);
        if options {
            let _ = writeln!(self.text, "{name}(Draft::new({row}){}, PhantomData)", fixed(layout));
        } else {
            let write: Vec<_> = layout.fixed.values().flatten().cloned().collect();
            let with = if write.is_empty() { String::new() } else { format!(".with({})", closure(&write)) };
            let _ = writeln!(self.text, "Command::of({row}){with}");
        }
        self.text.push_str("}\n\n");
        if options {
            self.builder(command, &name, layout, &replies);
        }
        Ok(())
    }

    fn builder(&mut self, command: &Command, name: &str, layout: &Layout, replies: &Replies) {
        let _ = writeln!(
            self.text,
            "builder! {{\n    /// `{}` with its options.\n    {name} {}{}\n}}\n",
            command.name,
            layout.slots,
            layout.states.iter().map(|state| format!(" {state}")).collect::<String>()
        );
        let mut blocks: Vec<(String, String)> = Vec::new();
        for (method, changes) in layout.methods.iter().zip(&replies.changes) {
            let everywhere = [("R".to_string(), "R".to_string())];
            for (from, to) in changes.as_deref().unwrap_or(&everywhere) {
                let generic = from == "R";
                let (head, result) = typed(name, layout, method, generic, from, to);
                let text = self.method(method, &result, name);
                match blocks.iter_mut().find(|block| block.0 == head) {
                    Some(block) => block.1 += &text,
                    None => blocks.push((head, text)),
                }
            }
        }
        for (head, text) in blocks {
            let _ = writeln!(self.text, "{head} {{{}}}\n", text.trim_end());
        }
    }

    fn method(&self, method: &Method, result: &str, name: &str) -> String {
        let parameters = listed(&method.parameters);
        let comma = if parameters.is_empty() { "" } else { ", " };
        let made = format!("self.0{}", filled(method));
        let (result, made) = match result {
            "Self" => ("Self", format!("Self({made}, PhantomData)")),
            other => (other, format!("{name}({made}, PhantomData)")),
        };
        format!(
            "{}pub fn {}(self{comma}{parameters}) -> {result} {{ {made} }}\n\n",
            about(method),
            method.name
        )
    }

    fn object(&mut self, name: &str, pieces: &[Piece], scope: &Scope<'_>, command: &str) -> Result<Layout> {
        let layout = layout(pieces, scope, true).context(command)?;
        let _ = writeln!(
            self.text,
            "part! {{\n    /// A part of `{command}`.\n    {name} {}\n}}\n\nimpl {name} {{",
            layout.slots.max(1)
        );
        let start = "Draft::new(RowId::UNKNOWN)";
        let fixed = fixed(&layout);
        if layout.constructors.is_empty() {
            let text = "/// Makes it with what it needs.\n";
            let _ = writeln!(
                self.text,
                "{text}pub fn new({}) -> Self {{ Self({start}{fixed}) }}\n",
                listed(&layout.parameters)
            );
        }
        for method in &layout.constructors {
            let parameters: Vec<_> = layout.parameters.iter().chain(&method.parameters).cloned().collect();
            let _ = writeln!(
                self.text,
                "{}pub fn {}({}) -> Self {{ Self({start}{fixed}{}) }}\n",
                about(method),
                method.name,
                listed(&parameters),
                filled(method)
            );
        }
        for method in &layout.methods {
            let parameters = listed(&method.parameters);
            let comma = if parameters.is_empty() { "" } else { ", " };
            let _ = writeln!(
                self.text,
                "{}pub fn {}(self{comma}{parameters}) -> Self {{ Self(self.0{}) }}\n",
                about(method),
                method.name,
                filled(method)
            );
        }
        self.text.push_str("}\n\n");
        if let Some(Part { form: Form::Scalar(_), .. }) = bare_value(pieces) {
            let _ = writeln!(
                self.text,
                "impl<T: ToArg> From<T> for {name} {{ fn from(value: T) -> Self {{ Self::new(value) }} }}\n"
            );
        }
        Ok(layout)
    }
}

/// Gives the head of the block that a method stands in, and the type that it gives.
fn typed(
    name: &str,
    layout: &Layout,
    method: &Method,
    generic: bool,
    from: &str,
    to: &str,
) -> (String, String) {
    let mut free: Vec<&str> = if generic { vec!["R"] } else { Vec::new() };
    let mut before = vec![from];
    let mut after = vec![to];
    for (place, state) in layout.states.iter().enumerate() {
        if method.takes.contains(&place) {
            before.push("Open");
            after.push("Taken");
        } else if method.needs.contains(&place) {
            before.push("Taken");
            after.push("Taken");
        } else {
            free.push(state);
            before.push(state);
            after.push(state);
        }
    }
    let free = if free.is_empty() { String::new() } else { format!("<{}>", free.join(", ")) };
    let head = format!("impl{free} {name}<{}>", before.join(", "));
    let result = if before == after { "Self".to_string() } else { format!("{name}<{}>", after.join(", ")) };
    (head, result)
}

fn listed(parameters: &[Parameter]) -> String {
    parameters.iter().map(|one| format!("{}: {}", one.name, one.kind)).collect::<Vec<_>>().join(", ")
}

fn closure(statements: &[String]) -> String {
    match statements {
        [] => "|_| {}".to_string(),
        [only] => format!("|out| {}", only.trim_end_matches(';')),
        all => format!("|out| {{ {} }}", all.join(" ")),
    }
}

fn fixed(layout: &Layout) -> String {
    layout.fixed.iter().map(|(slot, statements)| format!(".with({slot}, {})", closure(statements))).collect()
}

fn filled(method: &Method) -> String {
    let verb = if method.repeats { "more" } else { "with" };
    let writes = method.writes.iter().filter(|(_, statements)| !statements.is_empty());
    writes.map(|(slot, statements)| format!(".{verb}({slot}, {})", closure(statements))).collect()
}

/// Names the function for a way to call a command; modules have modules of their own.
pub(crate) fn function_name(name: &str, way: &str) -> String {
    let own = name.split_once('.').map_or(name, |(_, own)| own.trim_start_matches('_'));
    match snake(&own.to_ascii_lowercase()) {
        // `command` makes any command
        all if all == "command" => "command_all".to_string(),
        own if way.is_empty() => own,
        own => format!("{own}_{}", snake(way)),
    }
}

fn docs(command: &Command) -> Result<String> {
    let mut text = format!("/// {}.\n///\n", escaped(&command.summary));
    let module = if command.module.is_some() { " of its module" } else { "" };
    let _ = writeln!(
        text,
        "/// `{}`, since {}{module}; {}.",
        command.name,
        command.since,
        escaped(&command.complexity)
    );
    for (name, measure) in arguments::measured(command)? {
        let _ = writeln!(text, "/// `{}` is {}.", snake(&name), measure.words());
    }
    if let Some(since) = command.deprecated_since {
        let instead: Vec<_> = command.replaced_by.iter().map(|other| format!("`{other}`")).collect();
        let instead =
            if instead.is_empty() { String::new() } else { format!("; use {}", instead.join(" or ")) };
        let _ = writeln!(text, "/// Outdated since {since}{instead}.");
    }
    Ok(text)
}

fn about(method: &Method) -> String {
    let tokens: Vec<_> = method.sends.tokens.iter().map(|token| format!("`{token}`")).collect();
    let mut text = match (tokens.is_empty(), method.gives.is_empty()) {
        (false, true) => format!("Adds {}", tokens.join(" ")),
        (false, false) => format!("Adds {} with {}", tokens.join(" "), method.gives.join("; ")),
        _ => format!("Gives {}", method.gives.join("; ")),
    };
    if method.repeats {
        text += "; any number of times";
    }
    if let Some(since) = method.since {
        let _ = write!(text, "; since {since}");
    }
    format!("/// {text}.\n")
}

fn escaped(text: &str) -> String {
    text.replace('[', "\\[")
        .replace('<', "\\<")
        .replace('*', "\\*")
        .replace('_', "\\_")
        .trim_end_matches('.')
        .to_string()
}

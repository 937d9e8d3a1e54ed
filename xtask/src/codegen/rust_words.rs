//! The names of the types that Rust builders take: choices of words, and parts with options of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::arguments::{Form, Literal, Piece};
use super::rust_pieces::flags;

/// Commands, and the argument of each.
type Places = Vec<(String, String)>;

/// Every choice of words and every part, with the commands that use it.
#[derive(Default)]
pub(crate) struct Words {
    /// Words without their versions, and where they are used: as which argument of which command.
    choices: BTreeMap<Vec<String>, Places>,
    versions: BTreeMap<Vec<String>, Vec<Literal>>,
    objects: Vec<(Vec<Piece>, Places)>,
}

/// Names that everybody has in scope.
const PRELUDE: [&str; 12] = [
    "Box", "Clone", "Copy", "Default", "Drop", "From", "Into", "Iterator", "Option", "Result", "String",
    "Vec",
];

/// Names a type, but not like one that everybody has in scope.
pub(crate) fn type_name(name: &str) -> String {
    let name = pascal(name.trim_start_matches('_'));
    if PRELUDE.contains(&name.as_str()) { format!("{name}Command") } else { name }
}

impl Words {
    /// Takes note of what a command takes.
    pub(crate) fn add(&mut self, owner: &str, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Part(part) => self.form(owner, &part.label, &part.form),
                Piece::Fixed(_) => {}
                Piece::Choice { name, required, pieces } => {
                    if let (true, Some(words)) = (required, flags(pieces)) {
                        self.choice(owner, name, &words);
                    }
                    self.add(owner, pieces);
                }
                Piece::Group { tokens, counted, pieces, .. } => {
                    if let (true, Some(words)) = (counted, flags(pieces)) {
                        self.choice(owner, &tokens.join(" "), &words);
                    }
                    self.add(owner, pieces);
                }
            }
        }
    }

    fn form(&mut self, owner: &str, label: &str, form: &Form) {
        match form {
            Form::Literal(literals) if literals.len() > 1 => self.choice(owner, label, literals),
            Form::List { element, .. } => self.form(owner, label, element),
            Form::Tuple(parts) => parts.iter().for_each(|part| self.form(owner, &part.name, &part.form)),
            Form::Object { pieces, .. } => {
                let place = (owner.to_string(), label.to_string());
                match self.objects.iter_mut().find(|(other, _)| other == pieces) {
                    Some((_, places)) => places.push(place),
                    None => self.objects.push((pieces.clone(), vec![place])),
                }
                self.add(owner, pieces);
            }
            Form::Either(forms) => forms
                .iter()
                .filter(|form| !matches!(form, Form::Literal(_)))
                .for_each(|form| self.form(owner, label, form)),
            Form::Scalar(_) | Form::Flag | Form::Literal(_) | Form::Map { .. } => {}
        }
    }

    fn choice(&mut self, owner: &str, label: &str, literals: &[Literal]) {
        let words = texts(literals);
        self.choices.entry(words.clone()).or_default().push((owner.to_string(), label.to_string()));
        self.versions.entry(words).or_insert_with(|| literals.to_vec());
    }

    /// Gives the name of the type of a choice of words: a few words are the name.
    pub(crate) fn name(&self, literals: &[Literal]) -> String {
        self.name_of(&texts(literals))
    }

    fn name_of(&self, words: &[String]) -> String {
        if (2..=3).contains(&words.len()) && words.iter().all(|word| word.len() <= 6) {
            return words.iter().map(|word| pascal(&word.to_ascii_lowercase())).collect();
        }
        let Some((owner, label)) = self.choices.get(words).and_then(|places| places.first()) else {
            return String::new();
        };
        // names of modules' commands give way
        let others = self.choices.iter().filter(|(other, places)| {
            other.as_slice() != words
                && places.iter().any(|(user, other)| {
                    pascal(other) == pascal(label) && (user.starts_with('/') || !owner.starts_with('/'))
                })
        });
        let shared = self.choices[words].iter().any(|(other, _)| other != owner);
        if shared && others.count() == 0 {
            pascal(label)
        } else {
            format!("{}{}", owner.replace('/', ""), pascal(label))
        }
    }

    /// Gives the name of the type of an object that `owner` takes as `label`: that of the argument where several commands share it.
    pub(crate) fn object(&self, owner: &str, label: &str, pieces: &[Piece]) -> String {
        let Some((_, places)) = self.objects.iter().find(|(other, _)| other == pieces) else {
            return format!("{}{}", owner.replace('/', ""), pascal(label));
        };
        let (first, label) = &places[0];
        let users = |places: &Places| places.iter().map(|(owner, _)| owner).collect::<BTreeSet<_>>().len();
        let owners = users(places);
        let alone = self.objects.iter().all(|(other, places)| {
            other == pieces || places.iter().all(|(_, other)| other != label) || users(places) < owners
        });
        let own = pascal(label);
        if owners > 1 && alone && !PRELUDE.contains(&own.as_str()) {
            own
        } else {
            format!("{}{own}", first.split('/').next_back().unwrap_or_default())
        }
    }

    /// Gives the declarations of all choices of words.
    pub(crate) fn declarations(&self) -> String {
        let mut text = String::from(
            "//! Generated by `cargo xtask codegen`: words that arguments choose from.\n\ncrate::draft::words! {\n",
        );
        let mut named: BTreeMap<String, &[Literal]> = BTreeMap::new();
        for (words, literals) in &self.versions {
            named.insert(self.name_of(words), literals);
        }
        for (name, literals) in named {
            let _ = writeln!(text, "    /// One of these words.\n    {name} {{");
            for literal in literals {
                let since = literal.since.map(|since| format!(", since {since}")).unwrap_or_default();
                let _ = writeln!(
                    text,
                    "        /// `{0}`{since}.\n        {1} = b{0:?},",
                    literal.token,
                    variant(&literal.token)
                );
            }
            text.push_str("    }\n");
        }
        text.push_str("}\n");
        text
    }
}

/// Names a word.
pub(crate) fn variant(token: &str) -> String {
    match token {
        "-" => "Minus".to_string(),
        "+" => "Plus".to_string(),
        "~" => "Tilde".to_string(),
        word => pascal(&word.to_ascii_lowercase()),
    }
}

/// Signs make no name.
fn spelt(literals: &[Literal]) -> impl Iterator<Item = &Literal> {
    literals.iter().filter(|literal| literal.token.starts_with(|first: char| first.is_ascii_alphabetic()))
}

fn texts(literals: &[Literal]) -> Vec<String> {
    spelt(literals).map(|literal| literal.token.clone()).collect()
}

/// Spells a name as a type: words joined, each with a capital.
pub(crate) fn pascal(name: &str) -> String {
    let mut spelt = String::new();
    for word in name.split(['_', '-', ' ', '.']) {
        let (first, rest) = word.split_at(1.min(word.len()));
        spelt.push_str(&first.to_ascii_uppercase());
        spelt.push_str(rest);
    }
    spelt
}

/// Spells a name as a function or a variable.
pub(crate) fn snake(name: &str) -> String {
    let mut spelt = String::new();
    for letter in name.chars() {
        match letter {
            'A'..='Z' => {
                spelt.push('_');
                spelt.push(letter.to_ascii_lowercase());
            }
            ' ' | '-' | '.' => spelt.push('_'),
            other => spelt.push(other),
        }
    }
    match spelt.as_str() {
        "as" | "async" | "in" | "match" | "move" | "ref" | "return" | "type" | "where" | "loop" | "for"
        | "if" | "override" | "static" | "use" | "self" => {
            format!("r#{spelt}")
        }
        _ => spelt,
    }
}

//! `core/commands/*.json`: what is known about every command. A field that is not known here is an error.

// what nothing is generated from yet is checked all the same
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::run::{Context, Result};

/// A version of the server or, for commands of modules, of the module: `major.minor.patch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Version(pub(crate) [u8; 3]);

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let parts: Vec<u8> = text.split('.').filter_map(|part| part.parse().ok()).collect();
        parts.try_into().map(Self).map_err(|_| format!("{text} is no version"))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [major, minor, patch] = self.0;
        write!(out, "{major}.{minor}.{patch}")
    }
}

/// One command.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Command {
    /// The words to send, separated by single spaces.
    pub(crate) name: String,
    /// The file it stands in.
    #[serde(skip)]
    pub(crate) group: String,
    pub(crate) module: Option<String>,
    pub(crate) since: Version,
    pub(crate) deprecated_since: Option<Version>,
    #[serde(default)]
    pub(crate) replaced_by: Vec<String>,
    pub(crate) summary: String,
    pub(crate) complexity: String,
    pub(crate) arity: i32,
    pub(crate) flags: Vec<String>,
    pub(crate) access: Access,
    /// Why nobody should call it, for commands without a method.
    pub(crate) internal: Option<String>,
    /// What state of the connection it changes.
    pub(crate) conn: Option<String>,
    pub(crate) pubsub: Option<String>,
    pub(crate) blocking: Option<Blocking>,
    #[serde(default)]
    pub(crate) cacheable: bool,
    pub(crate) cluster: Cluster,
    #[serde(default)]
    pub(crate) keys: Vec<KeySpec>,
    #[serde(default)]
    pub(crate) args: Vec<Node>,
    /// The notation of `shape.rs`.
    pub(crate) reply: String,
    /// What collects its optional arguments in TypeScript, where it is called without them; see `wasm/js/bitfield.ts`.
    pub(crate) builder: Option<String>,
    #[serde(default)]
    pub(crate) tips: Vec<String>,
}

/// What a command does to data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Access {
    Read,
    Write,
    None,
}

/// Which argument limits how long the server holds its reply back.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Blocking {
    pub(crate) arg: String,
    pub(crate) unit: Unit,
    /// It blocks only with this token.
    pub(crate) token: Option<String>,
}

/// The unit of a time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    S,
    Ms,
}

/// Where a cluster executes a command, and what becomes of several replies.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cluster {
    pub(crate) request: String,
    pub(crate) response: Option<String>,
}

/// Where keys are among the words of a command.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeySpec {
    pub(crate) access: String,
    #[serde(default)]
    pub(crate) flags: Vec<String>,
    pub(crate) begin: Begin,
    pub(crate) find: Find,
}

/// The word where keys begin.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Begin {
    Index(i16),
    /// The same, unless it is empty.
    Filled(i16),
    /// Behind this word, looked for from a place that counts from the end when it is negative.
    Keyword(String, i16),
    /// Behind this option, the last of them; options before it and their values are stepped over.
    Option(String, i16),
    Unknown,
}

/// Which words are keys.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Find {
    /// Last, step, limit.
    Range(i16, i16, i16),
    /// Where the count is, the first key, step.
    Keynum(i16, i16, i16),
    Unknown,
}

/// A part of a command's arguments.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    /// The word sent before the value, or alone.
    pub(crate) token: Option<String>,
    #[serde(default)]
    pub(crate) optional: bool,
    #[serde(default)]
    pub(crate) multiple: bool,
    /// The token is sent before each value, not once.
    #[serde(default)]
    pub(crate) multiple_token: bool,
    /// Its optional parts are options of the command itself.
    #[serde(default)]
    pub(crate) flat: bool,
    /// The part behind it that it counts; `*` for all of them.
    pub(crate) counts: Option<String>,
    pub(crate) unit: Option<Counted>,
    /// What its number counts, where its name does not say so.
    measure: Option<Measure>,
    pub(crate) since: Option<Version>,
    pub(crate) deprecated_since: Option<Version>,
    pub(crate) key_spec: Option<usize>,
    #[serde(default)]
    pub(crate) arguments: Vec<Self>,
}

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Key,
    String,
    /// A string that a key holds, or is to: adapters make it of the user's own.
    Value,
    Integer,
    Double,
    Pattern,
    UnixTime,
    PureToken,
    Oneof,
    Block,
}

/// What a number measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Measure {
    Seconds,
    Milliseconds,
    UnixSeconds,
    UnixMilliseconds,
    Bytes,
}

impl Measure {
    /// Gives it as part of a sentence.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Seconds => "a time in seconds",
            Self::Milliseconds => "a time in milliseconds",
            Self::UnixSeconds => "a Unix time in seconds",
            Self::UnixMilliseconds => "a Unix time in milliseconds",
            Self::Bytes => "a size in bytes",
        }
    }
}

impl Node {
    /// Tells what its number measures, if anything.
    pub(crate) fn measure(&self) -> Option<Measure> {
        self.measure.or(match self.name.rsplit('-').next()? {
            "seconds" if self.kind == Kind::UnixTime => Some(Measure::UnixSeconds),
            "milliseconds" if self.kind == Kind::UnixTime => Some(Measure::UnixMilliseconds),
            "seconds" => Some(Measure::Seconds),
            "milliseconds" | "ms" => Some(Measure::Milliseconds),
            _ => None,
        })
    }
}

/// What a count counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Counted {
    Items,
    Words,
}

/// Everything that is known.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Sorted by name.
    pub(crate) commands: Vec<Command>,
    /// Shapes with a name, in the notation of `shape.rs`.
    pub(crate) shapes: BTreeMap<String, String>,
}

impl Facts {
    /// Reads the tables in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let mut facts = Self { commands: Vec::new(), shapes: BTreeMap::new() };
        for entry in fs::read_dir(folder).context(format!("read {}", folder.display()))? {
            let path = entry.context("read a folder's entry")?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let text = fs::read_to_string(&path).context(format!("read {}", path.display()))?;
            let group = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if group == "shapes" {
                facts.shapes =
                    serde_json::from_str(&text).context(format!("understand {}", path.display()))?;
                continue;
            }
            let commands: Vec<Command> =
                serde_json::from_str(&text).context(format!("understand {}", path.display()))?;
            facts.commands.extend(commands.into_iter().map(|mut command| {
                if let Some(Blocking { arg, unit, .. }) = &command.blocking
                    && let Some(limit) = command.args.iter_mut().find(|node| node.name == *arg)
                {
                    limit.measure = Some(match unit {
                        Unit::S => Measure::Seconds,
                        Unit::Ms => Measure::Milliseconds,
                    });
                }
                Command { group: group.clone(), ..command }
            }));
        }
        facts.commands.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(facts)
    }
}

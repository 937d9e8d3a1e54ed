//! What the options of a builder make of the type of its reply.

use super::arguments::camel;
use super::facts::Node;
use super::reply_types::{Aliases, rust};
use super::rust_arguments::{Layout, Sends};
use super::shape::{Condition, Content, Item, Shape, Test};

/// The types of a command's reply.
pub(crate) struct Replies {
    /// Without options.
    pub(crate) first: String,
    /// For each method, from which type to which, unless it changes nothing.
    pub(crate) changes: Vec<Option<Vec<(String, String)>>>,
}

/// Options that decide, at most; beyond that nobody could follow.
const DECIDING: usize = 6;

/// Gives the types of the reply to a command.
pub(crate) fn replies(shape: &Shape, layout: &Layout, nodes: &[Node], aliases: &Aliases) -> Replies {
    let reply = Reply { layout, nodes, aliases };
    let shape = reply.inlined(shape);
    let mut tests = Vec::new();
    collect(&shape, &mut tests);
    let deciding: Vec<usize> = (0..layout.methods.len())
        .filter(|&method| tests.iter().any(|test| reply.sends(&layout.methods[method].sends, test)))
        .take(DECIDING)
        .collect();
    let sets: Vec<Vec<usize>> = (0..1usize << deciding.len())
        .map(|bits| {
            let in_it = |(place, method): (usize, &usize)| (bits >> place & 1 == 1).then_some(*method);
            deciding.iter().enumerate().filter_map(in_it).collect()
        })
        .filter(|set: &Vec<usize>| reply.possible(set))
        .collect();
    let kind = |set: &[usize]| {
        let shape = reply.settled(&shape, set);
        by_path(&shape, aliases).unwrap_or_else(|| rust(&shape, aliases))
    };
    let mut changes = vec![None; layout.methods.len()];
    for &method in &deciding {
        let mut steps: Vec<(String, String)> = Vec::new();
        for set in sets.iter().filter(|set| !set.contains(&method)) {
            let with: Vec<usize> =
                deciding.iter().copied().filter(|one| set.contains(one) || *one == method).collect();
            if !sets.contains(&with) {
                continue;
            }
            let (from, to) = (kind(set), kind(&with));
            match steps.iter_mut().find(|step| step.0 == from) {
                Some(step) if step.1 != to => step.1 = "Frame".to_string(),
                Some(_) => {}
                None => steps.push((from, to)),
            }
        }
        if steps.iter().any(|(from, to)| from != to) {
            changes[method] = Some(steps);
        }
    }
    Replies { first: kind(&[]), changes }
}

/// Gives the type of a reply that is one value, or one for each place, by the form of a path.
fn by_path(shape: &Shape, aliases: &Aliases) -> Option<String> {
    let Shape::Case(branches) = shape else { return None };
    let [(condition, each), (_, one)] = branches.as_slice() else { return None };
    let path = condition.tests().all(|test| matches!(test, Test::Path(_)));
    let (each, one) = (rust(each, aliases), rust(one, aliases));
    let within = |text: &str, outer: &str| {
        text.strip_prefix(outer)?.strip_prefix('<')?.strip_suffix('>').map(str::to_string)
    };
    let item = within(&within(&each, "Option").unwrap_or(each), "Vec")?;
    (path && (item == one || format!("Option<{item}>") == one)).then(|| format!("Paths<{one}>"))
}

struct Reply<'a> {
    layout: &'a Layout,
    nodes: &'a [Node],
    aliases: &'a Aliases,
}

impl Reply<'_> {
    /// Puts named shapes that depend on options in the place of their names.
    fn inlined(&self, shape: &Shape) -> Shape {
        self.map(
            shape,
            &|shape| match shape {
                Shape::Alias(name) => {
                    let inner = self.aliases.get(name).filter(|inner| {
                        let mut tests = Vec::new();
                        collect(inner, &mut tests);
                        !tests.is_empty()
                    });
                    inner.cloned()
                }
                _ => None,
            },
            &|item| Some(item.clone()),
        )
    }

    /// Leaves of a shape what is there after these methods.
    fn settled(&self, shape: &Shape, set: &[usize]) -> Shape {
        self.map(
            shape,
            &|shape| {
                let Shape::Case(branches) = shape else { return None };
                if branches[0].0.is_protocol() {
                    return None;
                }
                let mut left = Vec::new();
                for (condition, shape) in branches {
                    match self.holds(condition, set) {
                        Some(false) => {}
                        Some(true) => {
                            left.push((condition.clone(), shape.clone()));
                            break;
                        }
                        None => left.push((condition.clone(), shape.clone())),
                    }
                }
                match left.as_slice() {
                    [(_, only)] => Some(self.settled(only, set)),
                    _ => Some(Shape::Case(
                        left.into_iter().map(|(when, shape)| (when, self.settled(&shape, set))).collect(),
                    )),
                }
            },
            &|item| match item.when.as_ref().and_then(|when| self.holds(when, set)) {
                Some(true) => Some(Item { when: None, ..item.clone() }),
                Some(false) => None,
                None => Some(item.clone()),
            },
        )
    }

    /// Copies a shape; `replace` may give another for it, `keep` drops items.
    fn map(
        &self,
        shape: &Shape,
        replace: &dyn Fn(&Shape) -> Option<Shape>,
        keep: &dyn Fn(&Item) -> Option<Item>,
    ) -> Shape {
        if let Some(other) = replace(shape) {
            return other;
        }
        let inner = |shape: &Shape| Box::new(self.map(shape, replace, keep));
        let items = |items: &[Item]| self.items(items, replace, keep);
        match shape {
            Shape::Optional(shape) => Shape::Optional(inner(shape)),
            Shape::Array(shape) => Shape::Array(inner(shape)),
            Shape::Set(shape) => Shape::Set(inner(shape)),
            Shape::Wrap3(shape) => Shape::Wrap3(inner(shape)),
            Shape::Only(shape) => Shape::Only(inner(shape)),
            Shape::Json(Some(shape)) => Shape::Json(Some(inner(shape))),
            Shape::Map(key, value) => Shape::Map(key.clone(), inner(value)),
            Shape::Pairs(key, value) => Shape::Pairs(key.clone(), inner(value)),
            Shape::Union(all) => Shape::Union(all.iter().map(|shape| *inner(shape)).collect()),
            Shape::Tuple(all) => Shape::Tuple(items(all)),
            Shape::Keyed(key, all) => Shape::Keyed(key.clone(), items(all)),
            Shape::Case(branches) => {
                Shape::Case(branches.iter().map(|(when, shape)| (when.clone(), *inner(shape))).collect())
            }
            other => other.clone(),
        }
    }

    fn items(
        &self,
        items: &[Item],
        replace: &dyn Fn(&Shape) -> Option<Shape>,
        keep: &dyn Fn(&Item) -> Option<Item>,
    ) -> Vec<Item> {
        let inner = |item: Item| Item {
            content: match &item.content {
                Content::One(shape) => Content::One(self.map(shape, replace, keep)),
                Content::Rest(shape) => Content::Rest(self.map(shape, replace, keep)),
                Content::Group(all) => Content::Group(self.items(all, replace, keep)),
            },
            ..item
        };
        items.iter().filter_map(keep).map(inner).collect()
    }

    /// Tells whether a condition holds after these methods, if that can be known.
    fn holds(&self, condition: &Condition, set: &[usize]) -> Option<bool> {
        if condition.is_else() {
            return Some(true);
        }
        let all: Vec<Option<bool>> = condition
            .0
            .iter()
            .map(|terms| {
                let terms: Vec<_> = terms
                    .iter()
                    .map(|term| self.tested(&term.test, set).map(|holds| holds != term.negated))
                    .collect();
                if terms.contains(&Some(false)) {
                    Some(false)
                } else if terms.contains(&None) {
                    None
                } else {
                    Some(true)
                }
            })
            .collect();
        if all.contains(&Some(true)) {
            Some(true)
        } else if all.contains(&None) {
            None
        } else {
            Some(false)
        }
    }

    fn tested(&self, test: &Test, set: &[usize]) -> Option<bool> {
        if matches!(test, Test::Resp2 | Test::Resp3 | Test::Subscribed) {
            return None;
        }
        let sent = self.sends(&self.layout.sends, test)
            || set.iter().any(|&method| self.sends(&self.layout.methods[method].sends, test));
        let known = self.layout.methods.iter().any(|method| self.sends(&method.sends, test));
        match test {
            // what it says is not known while compiling
            Test::Path(_) | Test::Negative(_) if sent => None,
            _ if sent => Some(true),
            _ if known => Some(false),
            Test::Sent(name) if self.layout.others.contains(&camel(name)) => Some(false),
            _ => None,
        }
    }

    /// Tells whether what is sent is what a test looks for.
    fn sends(&self, sends: &Sends, test: &Test) -> bool {
        match test {
            Test::Token(token) => sends.tokens.iter().any(|sent| sent.eq_ignore_ascii_case(token)),
            Test::Sent(name) | Test::Path(name) | Test::Negative(name) => {
                let label = label_of(self.nodes, name).unwrap_or_else(|| camel(name));
                sends.labels.contains(&label)
            }
            _ => false,
        }
    }

    /// Tells whether these methods can all be called.
    fn possible(&self, set: &[usize]) -> bool {
        let methods = &self.layout.methods;
        set.iter().all(|&one| {
            let others = || set.iter().filter(move |&&other| other != one);
            let alone = others()
                .all(|&other| methods[other].takes.iter().all(|state| !methods[one].takes.contains(state)));
            let decided = |state: &usize| {
                let takers: Vec<usize> =
                    (0..methods.len()).filter(|&method| methods[method].takes.contains(state)).collect();
                takers.len() != 1 || !self.decides(takers[0]) || set.contains(&takers[0])
            };
            alone && methods[one].needs.iter().all(decided)
        })
    }

    fn decides(&self, method: usize) -> bool {
        !self.layout.methods[method].sends.labels.is_empty()
    }
}

/// A block is sent when what it begins with is.
fn label_of(nodes: &[Node], name: &str) -> Option<String> {
    nodes.iter().find_map(|node| {
        if node.name != name {
            return label_of(&node.arguments, name);
        }
        let first = node.arguments.iter().find(|inner| !inner.optional && !node.arguments.is_empty());
        Some(match (node.kind, first) {
            (super::facts::Kind::Block, Some(first)) => camel(&first.name),
            _ => camel(&node.name),
        })
    })
}

fn collect<'a>(shape: &'a Shape, tests: &mut Vec<&'a Test>) {
    match shape {
        Shape::Optional(shape)
        | Shape::Array(shape)
        | Shape::Set(shape)
        | Shape::Wrap3(shape)
        | Shape::Only(shape)
        | Shape::Json(Some(shape))
        | Shape::Map(_, shape)
        | Shape::Pairs(_, shape) => collect(shape, tests),
        Shape::Union(all) => all.iter().for_each(|shape| collect(shape, tests)),
        Shape::Tuple(items) | Shape::Keyed(_, items) => in_items(items, tests),
        Shape::Case(branches) => {
            for (condition, shape) in branches {
                tests.extend(condition.tests());
                collect(shape, tests);
            }
        }
        _ => {}
    }
}

fn in_items<'a>(items: &'a [Item], tests: &mut Vec<&'a Test>) {
    for item in items {
        tests.extend(item.when.iter().flat_map(Condition::tests));
        match &item.content {
            Content::One(shape) | Content::Rest(shape) => collect(shape, tests),
            Content::Group(items) => in_items(items, tests),
        }
    }
}

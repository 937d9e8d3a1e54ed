//! The ways to call a command in TypeScript: overloads, where what is given decides about the reply.

use super::argument_types::{self, Call};
use super::arguments::{self, Form, Part, Piece, camel};
use super::facts::Command;
use super::reply_types::{self, Aliases};
use super::shape::{self, Condition, Shape, Test};
use super::typescript::{contains_word, replace_word};
use crate::run::{Failure, Result};

/// A way to call a command.
pub(crate) struct Overload {
    /// Parameters of its type, in angle brackets: options that decide about places in the reply.
    pub(crate) generics: String,
    pub(crate) parameters: String,
    pub(crate) reply: String,
}

/// Gives the ways to call a command.
///
/// `name` names the type of some options.
pub(crate) fn overloads(
    command: &Command,
    aliases: &Aliases,
    name: &mut dyn FnMut(&[&Piece]) -> String,
) -> Result<Vec<Overload>> {
    let pieces = arguments::overloaded(command)?;
    let shape = shape::parse(&command.reply).map_err(Failure)?;
    let variants = reply_types::variants(&shape);
    let calls = argument_types::calls(&pieces);
    let flags: Vec<_> = variants.iter().flat_map(|(_, shape)| reply_types::flags(shape, aliases)).collect();
    let mut all: Vec<Overload> = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let named = call.options.as_ref().map(|pieces| name(pieces));
        let forms = forms(call, index > 0, &calls, &variants, aliases);
        // without options a call is told by its count: types of options with parameters would be worked out to see that they are missing
        if let (Some(named), [(call, Some(_), _), .., (_, None, reply)]) = (&named, forms.as_slice())
            && named.ends_with('>')
        {
            let parameters = argument_types::parameters(call);
            all.push(Overload { generics: String::new(), parameters, reply: reply.clone() });
        }
        let mut push = |form: &Call, options: Option<&str>, wanted: Option<&str>, reply: &str| {
            let decided: Vec<_> = flags.iter().filter(|flag| contains_word(reply, flag)).collect();
            let wanted = wanted.map(|wanted| wanted.to_string() + &inferred(form, &decided));
            for parameters in spelt(form, options, wanted.as_deref()) {
                if !all.iter().any(|known| known.parameters == parameters) {
                    let generics = generics(&decided);
                    all.push(Overload { generics, parameters, reply: reply.to_string() });
                }
            }
        };
        for (form, wanted, reply) in &forms {
            let others: Vec<_> =
                forms.iter().filter(|other| other.1.is_some() && is_beside(&other.0, form)).collect();
            match (&named, wanted) {
                (Some(named), None) if !others.is_empty() => {
                    let without =
                        others.iter().flat_map(|other| other.1.iter().flatten()).filter_map(sole_name);
                    let without: Vec<_> = unique(without.map(|name| format!("{name}?: undefined")));
                    push(form, Some(&format!("{named} & {{ {} }}", without.join("; "))), None, reply);
                }
                (named, wanted) => {
                    push(form, named.as_deref(), wanted.as_deref().map(any_member).as_deref(), reply);
                }
            }
        }
        // of what does not show whether it says what decides
        if forms.len() > 1 {
            let replies = forms.iter().map(|(_, _, reply)| with_any_flag(reply, &flags));
            push(call, named.as_deref(), None, &any_of(replies));
        }
    }
    Ok(all)
}

/// Gives the parameters that a command is never called without.
pub(crate) fn required(command: &Command) -> Result<String> {
    let pieces = arguments::overloaded(command)?;
    let needed = |mut call: Call<'_>| {
        call.parameters.retain(|(_, optional)| !optional);
        argument_types::parameters(&call)
    };
    Ok(argument_types::calls(&pieces).into_iter().next().map(needed).unwrap_or_default())
}

/// Tells whether `other` takes the parameters of `call`, so that only options tell the two apart.
fn is_beside(other: &Call, call: &Call) -> bool {
    call.parameters.iter().all(|(part, _)| has(other, &part.name))
}

/// Gives the name of a member that decides alone.
fn sole_name(members: &Vec<String>) -> Option<&str> {
    let [only] = members.as_slice() else { return None };
    only.split(':').next()
}

/// Gives the type of options with the members of one of `ways`.
fn any_member(ways: &[Vec<String>]) -> String {
    let all: Vec<_> = ways.iter().map(|members| format!("{{ {} }}", members.join("; "))).collect();
    if let [only] = all.as_slice() { only.clone() } else { format!("({})", all.join(" | ")) }
}

/// Gives `reply` where each of `flags` may be given.
fn with_any_flag(reply: &str, flags: &[String]) -> String {
    flags.iter().fold(reply.to_string(), |reply, flag| replace_word(&reply, flag, "true | undefined"))
}

/// Gives parameters of a type: each is `true` where its option is given.
fn generics(flags: &[&String]) -> String {
    let all: Vec<_> =
        flags.iter().map(|flag| format!("{flag} extends true | undefined = undefined")).collect();
    if all.is_empty() { String::new() } else { format!("<{}>", all.join(", ")) }
}

/// Gives, to be put behind a type of options, that of those which tell `flags`.
fn inferred(call: &Call, flags: &[&String]) -> String {
    let pieces = || call.options.iter().flatten();
    let one = |flag: &&String| {
        let member = pieces().find_map(|piece| member(piece, flag))?;
        Some(format!("{}?: {flag}", member.split(':').next()?))
    };
    let all: Vec<_> = flags.iter().filter_map(one).collect();
    if all.is_empty() { String::new() } else { format!(" & {{ {} }}", all.join("; ")) }
}

/// Spells the ways to give the parameters of `call`: an optional one before the options may be left out.
fn spelt(call: &Call, options: Option<&str>, wanted: Option<&str>) -> Vec<String> {
    let Some(options) = options else { return vec![argument_types::parameters(call)] };
    let needed = wanted.is_some() || call.options.as_deref().is_some_and(argument_types::needs_options);
    let required = call.parameters.iter().filter(|(_, optional)| !optional).count();
    let mut all = Vec::new();
    if wanted.is_none() && call.parameters.last().is_some_and(may_be_spread) {
        all.push(argument_types::parameters(call));
    }
    let options = wanted.map_or_else(|| options.to_string(), |wanted| format!("{options} & {wanted}"));
    for count in required..=call.parameters.len() {
        let parameters = call.parameters[..count].iter().map(|(part, _)| (*part, false)).collect();
        let shorter = Call { parameters, options: None };
        all.push(argument_types::with_options(&shorter, &options, needed));
    }
    all
}

/// Tells whether a parameter before options may be given one by one: not where one alone could be the options.
fn may_be_spread((part, optional): &(&Part, bool)) -> bool {
    matches!(&part.form, Form::List { element, .. } if !(*optional && matches!(**element, Form::Object { .. })))
}

/// A way to call, members that the options must have in one of several ways, and the reply.
type Spelt<'a> = (Call<'a>, Option<Vec<Vec<String>>>, String);

/// Gives for `call` what is replied in which form.
fn forms<'a>(
    call: &Call<'a>,
    grouped: bool,
    calls: &[Call<'a>],
    variants: &[(Condition, Shape)],
    aliases: &Aliases,
) -> Vec<Spelt<'a>> {
    let type_of = |shape: &Shape| reply_types::typescript(shape, aliases);
    let mut forms: Vec<Spelt<'a>> = Vec::new();
    let mut call = call.clone();
    let mut maybe: Vec<String> = Vec::new();
    // members, and a reply that comes with them as well as the next that does
    let mut besides: Vec<(Vec<String>, String)> = Vec::new();
    // parameters with which the reply is told already
    let mut told_by: Vec<String> = Vec::new();
    for (position, (condition, shape)) in variants.iter().enumerate() {
        let reply = type_of(shape);
        if condition.is_else() {
            maybe.push(reply);
            break;
        }
        let mut members: Vec<Vec<String>> = Vec::new();
        let mut with: Vec<String> = Vec::new();
        for terms in &condition.0 {
            let mut wanted = Vec::new();
            let mut certain = true;
            let mut possible = true;
            let mut unclear = false;
            let mut needed = call.clone();
            for term in terms.iter().filter(|term| !term.negated) {
                match &term.test {
                    Test::Token(token) => {
                        certain = false;
                        match call.options.iter().flatten().find_map(|piece| member(piece, token)) {
                            Some(member) => wanted.push(member),
                            None if in_parameters(&call, token) => unclear = true,
                            None => possible = false,
                        }
                    }
                    Test::Sent(name) | Test::Path(name) | Test::Negative(name) => {
                        let name = camel(name);
                        let told = !matches!(term.test, Test::Sent(_));
                        if told_by.contains(&name) {
                            possible = false;
                            continue;
                        }
                        match needed
                            .parameters
                            .iter_mut()
                            .find(|(part, _)| part.name == name || part.label == name)
                        {
                            Some((_, optional)) => {
                                certain &= !*optional;
                                *optional = false;
                                unclear |= told;
                            }
                            // the name of a group, or that of one form of a parameter
                            None if calls.len() > 1 => possible &= grouped || has(&calls[0], &name),
                            None => unclear = true,
                        }
                    }
                    Test::Resp2 | Test::Resp3 | Test::Subscribed => {}
                }
            }
            if !possible {
                continue;
            }
            if unclear {
                let other = variants[position + 1..].iter().find(|(condition, _)| {
                    condition.is_else() || condition.tests().any(|test| matches!(test, Test::Sent(_)))
                });
                if !wanted.is_empty() {
                    besides.push((wanted, reply.clone()));
                } else if certain {
                    maybe.push(reply.clone());
                } else if needed.parameters.iter().zip(&call.parameters).any(|(new, old)| new.1 != old.1) {
                    let both =
                        any_of([reply.clone()].into_iter().chain(other.map(|(_, shape)| type_of(shape))));
                    told_by.extend(drop_options_of(&mut call, &needed));
                    forms.push((needed, None, both));
                } else {
                    maybe.push(reply.clone());
                }
                continue;
            }
            if certain {
                maybe.push(reply);
                forms.push((call, None, any_of(maybe)));
                return forms;
            }
            if wanted.is_empty() {
                told_by.extend(drop_options_of(&mut call, &needed));
                forms.push((needed, None, reply.clone()));
            } else {
                let others = besides.extract_if(.., |(members, _)| *members == wanted);
                with.extend(others.map(|(_, reply)| reply));
                members.push(wanted);
            }
        }
        let reply = any_of(with.into_iter().chain([reply]));
        if !members.is_empty() {
            forms.push((call.clone(), Some(members), reply));
        }
    }
    maybe.extend(besides.into_iter().map(|(_, reply)| reply));
    forms.push((call, None, any_of(maybe)));
    forms
}

/// Takes from `call` the parameters that `needed` has to have, with which the reply is told already; gives their names.
fn drop_options_of<'a>(call: &mut Call<'a>, needed: &Call<'a>) -> Vec<String> {
    let dropped: Vec<String> = call
        .parameters
        .iter()
        .filter(|(part, optional)| {
            *optional
                && needed.parameters.iter().any(|(other, optional)| other.name == part.name && !optional)
        })
        .map(|(part, _)| part.name.clone())
        .collect();
    call.parameters.retain(|(part, _)| !dropped.contains(&part.name));
    dropped
}

fn has(call: &Call, name: &str) -> bool {
    call.parameters.iter().any(|(part, _)| part.name == name)
}

/// Gives the member of an options object that sends `token`.
fn member(piece: &Piece, token: &str) -> Option<String> {
    match piece {
        Piece::Part(part) => {
            let sends = !part.positional && part.tokens.iter().any(|sent| sent == token);
            sends.then(|| format!("{}: {}", part.name, argument_types::type_of(&part.form)))
        }
        Piece::Fixed(_) => None,
        Piece::Choice { pieces, .. } | Piece::Group { pieces, .. } => {
            pieces.iter().find_map(|piece| member(piece, token))
        }
    }
}

/// Tells whether a parameter's value sends `token`.
fn in_parameters(call: &Call, token: &str) -> bool {
    call.parameters.iter().any(|(part, _)| sends(part, token))
}

fn sends(part: &Part, token: &str) -> bool {
    part.tokens.iter().any(|sent| sent == token) || form_sends(&part.form, token)
}

fn form_sends(form: &Form, token: &str) -> bool {
    match form {
        Form::Literal(literals) => literals.iter().any(|literal| literal.token == token),
        Form::Either(forms) => forms.iter().any(|form| form_sends(form, token)),
        Form::Object { pieces, .. } => {
            let mut found = false;
            arguments::visit(pieces, false, &mut |part, _| found |= sends(part, token));
            found
        }
        _ => false,
    }
}

fn any_of(types: impl IntoIterator<Item = String>) -> String {
    let all = unique(types);
    if all.iter().any(|one| one == "unknown") { "unknown".to_string() } else { all.join(" | ") }
}

fn unique(all: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut once: Vec<String> = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}

//! Carries out shapes while replies stream through.

use super::layout::{Layout, field};
use super::number::{self, Digits};
use super::{ANY, Format, Id, NAME, Node, Place, RESP2, SAFE, SKIP, Shape, node, test};
use crate::resp::{Aggregate, Event, Sink, Text, is_double, tell};
use alloc::vec::Vec;

/// What may pass by the shaper.
pub(crate) mod pass {
    /// User data.
    pub(crate) const BULK: u8 = 1;
    /// Integers.
    pub(crate) const INTEGER: u8 = 2;
    /// Everything.
    pub(crate) const ALL: u8 = 4;
    /// Nothing, but `OK` is true.
    pub(crate) const STATUS: u8 = 8;
}

/// Texts beyond this many bytes are not parsed.
const PARSED: u64 = 16 << 20;

/// Longer texts are no score.
const SCORE: usize = 32;

/// What names without a value are gathered under.
const BARE: &[u8] = b"flags";

/// What is left to do of one reply. Kept from reply to reply for its memory.
#[derive(Debug)]
pub(crate) struct Shaper {
    root: Id,
    bits: u8,
    levels: Vec<Level>,
    /// What the value of the field is whose name was last.
    next: Id,
    due: Option<Due>,
    /// The name of a field that is told if anything is in it.
    unsaid: &'static [u8],
    taking: Taking,
    kept: Kept,
    /// A score that is told behind what comes next.
    held: Option<([u8; SCORE], usize)>,
}

/// An aggregate of the server's that is open.
#[derive(Clone, Copy, Debug)]
struct Level {
    form: Form,
    /// Elements that ended.
    at: u32,
    /// Whether rows come in arrays of their own.
    nested: bool,
    /// Whether its end is told.
    told: bool,
    /// Whether it was told without its length.
    unmeasured: bool,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Each(Id),
    /// Rows of this, nested or flat: the first element tells. How many elements there are.
    Undecided(Id, u32),
    /// The array of a row of the level below, whose elements are that level's.
    Row {
        alone: bool,
        len: u32,
    },
    /// Keys and values.
    Two(Id, Id),
    /// The same, each two in an array of their own.
    Pairs(Id, Id),
    /// Arrays of a key and a value each, as they are.
    Listed(Id, Id),
    /// The same on RESP3, where they are what they should be.
    Free,
    /// Names and values: so many fields from this place on; what others are.
    Fields(u8, Place, Id),
    /// The same on RESP2, where some names have no value: whether the next element is a value, and whether such names came already.
    Bare {
        count: u8,
        fields: Place,
        valued: bool,
        open: bool,
    },
    /// What stands before a score, which comes first.
    Swapped(Id),
    /// Keys, and the elements of a tuple.
    Keyed(Id, Id),
    Tuple(Id),
    /// The record, and how many elements there are.
    Record(Id, u32),
    /// Nothing but the element at this place.
    Last(Id, u32),
}

/// A struct that waits for the value of its first field, which is to stand before it.
#[derive(Clone, Copy, Debug)]
struct Due {
    fields: Option<u32>,
    name: &'static [u8],
}

/// What becomes of the open text.
#[derive(Clone, Copy, Debug, Default)]
enum Taking {
    #[default]
    Pass,
    Drop,
    Parse(Format),
}

/// Texts that events point to after they were told, until the caller has read what it was told of.
#[derive(Debug)]
struct Kept {
    chunks: Vec<Vec<u8>>,
    open: Vec<u8>,
}

impl Kept {
    fn clear(&mut self) {
        self.chunks.truncate(1);
        self.chunks.iter_mut().for_each(Vec::clear);
    }

    fn keep(&mut self, text: &[u8]) -> &[u8] {
        let room = self.chunks.last().map_or(0, |chunk| chunk.capacity() - chunk.len());
        if room < text.len() {
            self.chunks.push(Vec::with_capacity(text.len().max(1024)));
        }
        let Some(chunk) = self.chunks.last_mut() else { return &[] };
        let start = chunk.len();
        chunk.extend_from_slice(text);
        chunk.get(start..).unwrap_or_default()
    }

    /// Keeps the text that was taken in parts.
    fn keep_open(&mut self) -> &[u8] {
        self.chunks.push(core::mem::take(&mut self.open));
        self.chunks.last().map_or(&[], Vec::as_slice)
    }
}

impl Shape {
    /// Tells what of a value of this shape may pass as it comes.
    pub(crate) fn passes(self) -> u8 {
        if self == Self::RAW { pass::ALL } else { passes(self.node) }
    }
}

/// What passes for the nodes at the first places.
const PASSES: [u8; 7] = [pass::BULK, 0, 0, pass::BULK, pass::INTEGER, pass::INTEGER, pass::STATUS];

#[inline]
fn passes(id: Id) -> u8 {
    PASSES.get(usize::from(id)).copied().unwrap_or_default()
}

fn is_row_start(event: Event<'_>) -> bool {
    matches!(event, Event::Open(Aggregate::Array | Aggregate::Set, _))
}

const CLOSE: Event<'static> = Event::Close { streamed: false };

impl Shaper {
    pub(crate) const fn new() -> Self {
        let kept = Kept { chunks: Vec::new(), open: Vec::new() };
        Self {
            root: 0,
            bits: 0,
            levels: Vec::new(),
            next: 0,
            due: None,
            unsaid: b"",
            taking: Taking::Pass,
            kept,
            held: None,
        }
    }

    /// Lets go of what earlier events pointed to.
    pub(crate) fn forget(&mut self) {
        self.kept.clear();
    }

    /// Begins a reply.
    pub(crate) fn begin(&mut self, shape: Shape, flat: bool) {
        self.root = shape.node;
        self.bits = shape.bits | if flat { RESP2 } else { 0 };
        self.levels.clear();
        self.due = None;
        self.taking = Taking::Pass;
        self.held = None;
    }

    /// Tells whether the open text is taken as a whole.
    pub(crate) fn is_parsing(&self) -> bool {
        matches!(self.taking, Taking::Parse(_))
    }

    /// Tells what may pass as it comes, and need not be told of.
    pub(crate) fn passes(&self) -> u8 {
        match self.levels.last() {
            Some(Level { form: Form::Each(id), .. }) => passes(*id),
            Some(Level { form: Form::Two(key, value), nested: false, .. }) if key == value => passes(*key),
            _ => 0,
        }
    }

    /// Tells whether the elements of the innermost aggregate need no shaping, whatever is in them.
    pub(crate) fn is_free(&self) -> bool {
        matches!(self.levels.last(), Some(Level { form: Form::Free, .. }))
    }

    /// Takes an event.
    #[inline(never)]
    pub(crate) fn event<S: Sink>(&mut self, event: Event<'_>, sink: &mut S) {
        match event {
            Event::Close { streamed } => self.close(streamed, sink),
            Event::BulkPart(part) => match self.taking {
                Taking::Pass => tell(sink, event),
                Taking::Drop => {}
                Taking::Parse(_) => self.kept.open.extend_from_slice(part),
            },
            Event::BulkClose => {
                match core::mem::take(&mut self.taking) {
                    Taking::Pass => tell(sink, event),
                    Taking::Drop => {}
                    Taking::Parse(format) => format.tell(self.kept.keep_open(), sink),
                }
                self.ended(sink);
            }
            event => self.value(event, sink),
        }
    }

    #[inline(never)]
    fn value<S: Sink>(&mut self, event: Event<'_>, sink: &mut S) {
        if let Some(Level { form: Form::Undecided(id, len), .. }) = self.levels.last().copied() {
            self.levels.pop();
            self.decide(id, len, is_row_start(event), sink);
        }
        if let Some(Level { form: Form::Listed(key, value), .. }) = self.levels.last().copied()
            && let Event::Open(Aggregate::Array, Some(2)) = event
        {
            return self.open(Aggregate::Array, Some(2), Form::Two(key, value), sink);
        }
        if self.levels.last().is_some_and(|level| level.nested) {
            let whole = is_row_start(event);
            let len = match event {
                Event::Open(_, Some(len)) if whole => len,
                _ => 2,
            };
            self.push(Form::Row { alone: !whole, len }, false);
            if whole {
                return;
            }
        }
        let id = self.next(sink);
        self.put(id, event, sink);
    }

    /// Gives what the next value is, and tells what stands before it.
    #[inline(never)]
    fn next<S: Sink>(&mut self, sink: &mut S) -> Id {
        let Some(top) = self.levels.len().checked_sub(1) else { return self.root };
        match self.levels.get(top) {
            Some(Level { form: Form::Row { .. }, at, .. }) => match top.checked_sub(1) {
                Some(below) if *at < self.period(below) => self.before(below, sink),
                _ => SKIP,
            },
            _ => self.before(top, sink),
        }
    }

    /// Gives how many elements make up a row.
    #[inline(never)]
    fn period(&self, index: usize) -> u32 {
        match (self.form(index), self.form(index + 1)) {
            (Some(Form::Keyed(..)), Some(Form::Row { len, .. })) => len.max(2),
            (Some(Form::Keyed(_, items)), _) => 1 + Layout::of(items, self.bits).fixed,
            _ => 2,
        }
    }

    /// Gives the place in its row of the element at `at` of the level at `index`.
    #[inline(never)]
    fn place(&self, index: usize, at: u32) -> u32 {
        match self.levels.get(index + 1) {
            Some(Level { form: Form::Row { .. }, at, .. }) => *at,
            _ => at % self.period(index),
        }
    }

    fn form(&self, index: usize) -> Option<Form> {
        self.levels.get(index).map(|level| level.form)
    }

    #[inline(never)]
    fn before<S: Sink>(&mut self, index: usize, sink: &mut S) -> Id {
        let Some(Level { form, at, .. }) = self.levels.get(index).copied() else { return ANY };
        let even = at.is_multiple_of(2);
        match form {
            Form::Each(id) => id,
            Form::Two(key, value) => {
                if even {
                    key
                } else {
                    value
                }
            }
            Form::Pairs(key, value) => {
                if even {
                    tell(sink, Event::Open(Aggregate::Array, Some(2)));
                }
                if even { key } else { value }
            }
            Form::Fields(..) => {
                if even {
                    NAME
                } else {
                    self.next
                }
            }
            Form::Keyed(key, items) => match self.place(index, at) {
                0 => key,
                place => {
                    let layout = Layout::of(items, self.bits);
                    let len = self.period(index) - 1;
                    if place == 1 {
                        tell(sink, Event::Open(Aggregate::Array, Some(len - layout.dropped(len))));
                    }
                    layout.at(place - 1).0
                }
            },
            Form::Tuple(items) => {
                let layout = Layout::of(items, self.bits);
                let starts = at >= layout.fixed && (at - layout.fixed).is_multiple_of(layout.period);
                if starts && layout.period > 1 {
                    tell(sink, Event::Open(Aggregate::Array, Some(layout.period)));
                }
                layout.at(at).0
            }
            Form::Record(items, len) => {
                let layout = Layout::of(items, self.bits);
                let (id, name) = layout.at(at);
                if at == layout.fixed {
                    rest(layout, len - layout.fixed, sink);
                }
                if layout.group.is_some() && at >= layout.fixed {
                    if (at - layout.fixed).is_multiple_of(layout.period) {
                        tell(sink, Event::Open(Aggregate::Struct, Some(layout.period)));
                    }
                    tell(sink, named(name));
                } else if at < layout.fixed {
                    tell(sink, named(name));
                }
                id
            }
            Form::Bare { valued: false, .. } => NAME,
            Form::Bare { .. } => {
                if let Some(Level { form: Form::Bare { valued, .. }, .. }) = self.levels.get_mut(index) {
                    *valued = false;
                }
                self.next
            }
            Form::Swapped(id) => {
                if even {
                    ANY
                } else {
                    id
                }
            }
            Form::Last(id, last) => {
                if at == last {
                    id
                } else {
                    SKIP
                }
            }
            Form::Undecided(..) | Form::Row { .. } | Form::Listed(..) | Form::Free => ANY,
        }
    }

    /// Counts an element, and tells what stands behind it.
    #[inline(never)]
    fn after<S: Sink>(&mut self, index: usize, sink: &mut S) {
        let Some(Level { form, at, .. }) = self.levels.get(index).copied() else { return };
        let closes = match form {
            Form::Pairs(..) => at % 2 == 1,
            Form::Keyed(..) => self.place(index, at) == self.period(index) - 1,
            Form::Tuple(items) | Form::Record(items, _) => {
                let layout = Layout::of(items, self.bits);
                let wrapped = layout.period > 1 || matches!(form, Form::Record(..));
                layout.group.is_some()
                    && wrapped
                    && at >= layout.fixed
                    && (at - layout.fixed) % layout.period == layout.period - 1
            }
            _ => false,
        };
        if let Some(level) = self.levels.get_mut(index) {
            level.at = at.saturating_add(1);
        }
        if closes {
            tell(sink, CLOSE);
        }
        if let (Form::Swapped(_), 1) = (form, at)
            && let Some((score, len)) = self.held.take()
        {
            let score = self.kept.keep(score.get(..len).unwrap_or_default());
            tell(sink, if is_double(score) { Event::Double(score) } else { Event::Text(Text::Bulk, score) });
        }
    }

    /// Notes that a value ended.
    #[inline(never)]
    fn ended<S: Sink>(&mut self, sink: &mut S) {
        let Some(top) = self.levels.len().checked_sub(1) else { return };
        let Some(Level { form: Form::Row { alone, .. }, at, .. }) = self.levels.get(top).copied() else {
            return self.after(top, sink);
        };
        if let Some(below) = top.checked_sub(1).filter(|&below| at < self.period(below)) {
            self.after(below, sink);
        }
        if let Some(level) = self.levels.get_mut(top) {
            level.at = at.saturating_add(1);
        }
        if alone {
            self.close_row(sink);
        }
    }

    /// Ends a row; what it lacks is null.
    #[inline(never)]
    fn close_row<S: Sink>(&mut self, sink: &mut S) {
        let Some(below) = self.levels.len().checked_sub(2) else { return };
        let lacking = self.levels.last().map_or(0, |row| self.period(below).saturating_sub(row.at));
        for _ in 0..lacking {
            match self.before(below, sink) {
                NAME => self.name(b"", sink),
                SKIP => {}
                id if matches!(node(id), Node::Filled(_)) => {}
                _ => {
                    self.start(None, sink);
                    tell(sink, Event::Null);
                }
            }
            self.after(below, sink);
            if let Some(row) = self.levels.last_mut() {
                row.at += 1;
            }
        }
        self.levels.pop();
    }

    #[inline(never)]
    fn close<S: Sink>(&mut self, streamed: bool, sink: &mut S) {
        let Some(level) = self.levels.last().copied() else { return tell(sink, Event::Close { streamed }) };
        if let Form::Row { .. } = level.form {
            return self.close_row(sink);
        }
        self.start(None, sink);
        self.levels.pop();
        if let Form::Bare { open, .. } = level.form {
            if !open {
                tell(sink, named(BARE));
                tell(sink, Event::Open(Aggregate::Array, Some(0)));
            }
            tell(sink, Event::Close { streamed: open });
        }
        if let Form::Record(items, _) = level.form {
            let layout = Layout::of(items, self.bits);
            if level.at <= layout.fixed {
                rest(layout, 0, sink);
            }
            if layout.rest.is_some() {
                tell(sink, CLOSE);
            }
        }
        if level.told {
            tell(sink, Event::Close { streamed: streamed || level.unmeasured });
        }
        self.ended(sink);
    }

    #[inline(never)]
    fn push(&mut self, form: Form, told: bool) {
        self.levels.push(Level { form, at: 0, nested: false, told, unmeasured: false });
    }

    /// Tells the opening of an aggregate whose elements are as `form` says.
    #[inline(never)]
    fn open<S: Sink>(&mut self, kind: Aggregate, len: Option<u32>, form: Form, sink: &mut S) {
        tell(sink, Event::Open(kind, len));
        self.push(form, true);
    }

    /// Takes the first event of a value that is what the node at `id` says.
    #[inline(never)]
    fn put<S: Sink>(&mut self, mut id: Id, event: Event<'_>, sink: &mut S) {
        loop {
            id = match (node(id), event) {
                (Node::Case(place, yes, no), _) => {
                    if test(place, self.bits) {
                        yes
                    } else {
                        no
                    }
                }
                (Node::Optional(_), Event::Null) => ANY,
                (Node::Optional(inner), _) => inner,
                (Node::Either(_, many), Event::Open(..)) => many,
                (Node::Either(one, _), _) => one,
                (Node::Arity(count, this, that), _) => {
                    if matches!(event, Event::Open(_, Some(len)) if len == count.into()) {
                        this
                    } else {
                        that
                    }
                }
                (Node::Filled(_), Event::Open(_, Some(0)) | Event::Null) => SKIP,
                (Node::Filled(inner), _) => {
                    tell(sink, named(self.unsaid));
                    inner
                }
                (Node::EmptyOr(_), Event::Open(_, Some(0))) => {
                    tell(sink, Event::Null);
                    return self.push(Form::Each(SKIP), false);
                }
                (Node::EmptyOr(_), Event::Null) => ANY,
                (Node::EmptyOr(inner), _) => inner,
                (Node::Wrapped(inner), Event::Open(Aggregate::Array, Some(len @ 1..)))
                    if self.bits & RESP2 == 0 =>
                {
                    return self.push(Form::Last(inner, len - 1), false);
                }
                (Node::Wrapped(inner), _) => inner,
                (Node::Only(inner), Event::Open(Aggregate::Map, Some(1..))) => {
                    return self.push(Form::Last(inner, 1), false);
                }
                (Node::Only(inner), Event::Open(Aggregate::Array | Aggregate::Set, Some(1))) => {
                    return self.push(Form::Last(inner, 0), false);
                }
                (Node::Only(_), _) => ANY,
                (Node::Numbers(inner), Event::Open(..) | Event::Null) => inner,
                _ => break,
            }
        }
        match event {
            Event::Text(Text::Bulk | Text::Simple | Text::Verbatim(_), text) if id == NAME => {
                self.name(text, sink);
                return self.ended(sink);
            }
            // not a name that anything could be known by
            _ if id == NAME => {
                self.next = ANY;
                self.start(None, sink);
            }
            event => self.start(Some(event), sink),
        }
        match event {
            Event::Open(kind, len) => self.aggregate(id, kind, len, sink),
            Event::BulkOpen(kind, len) => {
                self.large(id, kind, len, sink);
            }
            event => {
                self.scalar(id, event, sink);
                self.ended(sink);
            }
        }
    }

    #[inline(never)]
    fn large<S: Sink>(&mut self, id: Id, kind: Text, len: Option<u64>, sink: &mut S) {
        let plain = matches!(kind, Text::Bulk | Text::Verbatim(_));
        if let Node::Indexed(..) = node(id) {
            tell(sink, Event::Null);
        }
        self.taking = match node(id) {
            Node::Skip => Taking::Drop,
            Node::Parsed(format) if plain && len.is_some_and(|len| len <= PARSED) => Taking::Parse(format),
            Node::Numbers(_) if plain && len.is_some_and(|len| len <= PARSED) => {
                Taking::Parse(Format::Numbers)
            }
            node => {
                let kind = match node {
                    _ if !plain => kind,
                    Node::Text | Node::Status | Node::Name | Node::Parsed(_) => Text::Simple,
                    Node::Blob => Text::Blob,
                    Node::Any => kind,
                    _ => Text::Bulk,
                };
                tell(sink, Event::BulkOpen(kind, len));
                Taking::Pass
            }
        };
    }

    #[inline(never)]
    fn aggregate<S: Sink>(&mut self, id: Id, kind: Aggregate, len: Option<u32>, sink: &mut S) {
        let keyed = kind == Aggregate::Map;
        let bits = self.bits;
        match node(id) {
            Node::Skip => self.push(Form::Each(SKIP), false),
            Node::Array(inner) if !keyed => self.open(Aggregate::Array, len, Form::Each(inner), sink),
            Node::Set(inner) if !keyed => self.open(Aggregate::Set, len, Form::Each(inner), sink),
            Node::By(inner) if !keyed => self.open(Aggregate::Map, len, Form::Each(inner), sink),
            Node::Tuple(..) => {
                let layout = Layout::of(id, bits);
                let count = if keyed { len.map(|len| len.saturating_mul(2)) } else { len };
                let told = match (layout.group, count) {
                    (Some(_), Some(len)) if layout.fits(len) => Some(layout.grouped(len)),
                    (Some(_), _) => return self.plain(id, kind, len, sink),
                    (None, len) => len.map(|len| len - layout.dropped(len)),
                };
                self.open(Aggregate::Array, told, Form::Tuple(id), sink);
            }
            Node::Swapped(inner) if keyed && len == Some(1) => {
                self.open(Aggregate::Array, Some(2), Form::Two(inner, ANY), sink);
            }
            Node::Swapped(inner) if !keyed && len == Some(2) => {
                self.open(Aggregate::Array, len, Form::Swapped(inner), sink);
            }
            Node::Bare(count, fields, _) if !keyed => {
                let form = Form::Bare { count, fields, valued: false, open: false };
                self.open(Aggregate::Struct, None, form, sink);
                if let Some(level) = self.levels.last_mut() {
                    level.unmeasured = true;
                }
            }
            Node::Record(..) if !keyed => {
                let layout = Layout::of(id, bits);
                match len.filter(|&len| layout.fits(len)) {
                    Some(len) => {
                        let fields = layout.fixed + u32::from(layout.rest.is_some());
                        self.open(Aggregate::Struct, Some(fields), Form::Record(id, len), sink);
                    }
                    None => self.plain(id, kind, len, sink),
                }
            }
            Node::Map(..)
            | Node::Pairs(..)
            | Node::Struct(..)
            | Node::Sparse(..)
            | Node::Bare(..)
            | Node::Indexed(..)
            | Node::Keyed(..) => match len {
                _ if keyed => self.rows(id, len, true, sink),
                Some(0) => self.rows(id, len, false, sink),
                Some(len) => self.push(Form::Undecided(id, len), false),
                None => self.plain(id, kind, None, sink),
            },
            _ => self.plain(id, kind, len, sink),
        }
    }

    /// Begins an aggregate that is not what it should be, as it came.
    #[inline(never)]
    fn plain<S: Sink>(&mut self, id: Id, kind: Aggregate, len: Option<u32>, sink: &mut S) {
        if let Node::Indexed(..) = node(id) {
            tell(sink, Event::Null);
        }
        self.open(kind, len, Form::Each(ANY), sink);
    }

    /// Begins rows whose form the first element showed.
    #[inline(never)]
    fn decide<S: Sink>(&mut self, id: Id, len: u32, nested: bool, sink: &mut S) {
        let period = match node(id) {
            Node::Keyed(_, items) => 1 + Layout::of(items, self.bits).fixed,
            _ => 2,
        };
        if let (true, Node::Pairs(key, value)) = (nested, node(id)) {
            let native = |id| matches!(node(id), Node::Bulk | Node::Int | Node::Double | Node::Number);
            let free = self.bits & RESP2 == 0 && native(key) && native(value);
            let form = if free { Form::Free } else { Form::Listed(key, value) };
            self.open(Aggregate::Array, Some(len), form, sink);
        } else if nested {
            self.rows(id, Some(len), false, sink);
            if let Some(level) = self.levels.last_mut() {
                level.nested = true;
            }
        } else if len.is_multiple_of(period) {
            self.rows(id, Some(len / period), false, sink);
        } else {
            self.plain(id, Aggregate::Array, Some(len), sink);
        }
    }

    #[inline(never)]
    fn rows<S: Sink>(&mut self, id: Id, len: Option<u32>, keyed: bool, sink: &mut S) {
        match node(id) {
            Node::Pairs(key, value) => self.open(Aggregate::Array, len, Form::Pairs(key, value), sink),
            Node::Map(key, value) => self.open(Aggregate::Map, len, Form::Two(key, value), sink),
            Node::Keyed(key, tuple) if keyed => {
                self.open(Aggregate::Map, len, Form::Two(key, tuple), sink);
            }
            Node::Keyed(key, tuple) => self.open(Aggregate::Map, len, Form::Keyed(key, tuple), sink),
            Node::Struct(count, fields, others) | Node::Bare(count, fields, others) => {
                self.open(Aggregate::Struct, len, Form::Fields(count, fields, others), sink);
            }
            Node::Sparse(count, fields, others) => {
                self.open(Aggregate::Struct, None, Form::Fields(count, fields, others), sink);
                if let Some(level) = self.levels.last_mut() {
                    level.unmeasured = true;
                }
            }
            Node::Indexed(count, fields, others) => {
                self.push(Form::Fields(count, fields, others), true);
                self.due = Some(Due { fields: len, name: b"" });
                if len == Some(0) {
                    self.start(None, sink);
                }
            }
            _ => self.plain(id, Aggregate::Array, len, sink),
        }
    }

    /// Takes the name of a field.
    #[inline(never)]
    fn name<S: Sink>(&mut self, text: &[u8], sink: &mut S) {
        let top = self.levels.len().wrapping_sub(1);
        let form = match self.form(top) {
            Some(Form::Row { .. }) => self.form(top.wrapping_sub(1)),
            form => form,
        };
        if let Some(Form::Bare { count, fields, open, .. }) = form {
            return self.bare(top, field(count, fields, text).filter(|_| !open), text, open, sink);
        }
        let Some(Form::Fields(count, fields, others)) = form else { return };
        let (name, id) = field(count, fields, text).unwrap_or((b"", others));
        self.next = id;
        if id == SKIP {
            return;
        }
        if let Node::Filled(_) = node(id) {
            self.unsaid = name;
            return;
        }
        if name.is_empty() {
            self.start(None, sink);
            return tell(sink, Event::Text(Text::Simple, text));
        }
        match &mut self.due {
            Some(due) => due.name = name,
            None => tell(sink, named(name)),
        }
    }

    /// Takes a name that has a value if it is `known`.
    #[inline(never)]
    fn bare<S: Sink>(
        &mut self,
        top: usize,
        known: Option<(&'static [u8], Id)>,
        text: &[u8],
        was_open: bool,
        sink: &mut S,
    ) {
        if let Some(Level { form: Form::Bare { valued, open, .. }, .. }) = self.levels.get_mut(top) {
            *valued = known.is_some();
            *open = known.is_none();
        }
        if let Some((name, id)) = known {
            self.next = id;
            return tell(sink, named(name));
        }
        if !was_open {
            tell(sink, named(BARE));
            tell(sink, Event::Open(Aggregate::Array, None));
        }
        tell(sink, Event::Text(Text::Simple, text));
    }

    /// Tells the key of a struct that waits for its first value, and its beginning.
    #[inline(never)]
    fn start<S: Sink>(&mut self, value: Option<Event<'_>>, sink: &mut S) {
        let Some(due) = self.due.take() else { return };
        tell(
            sink,
            match value {
                Some(Event::Text(Text::Bulk | Text::Simple | Text::Verbatim(_), text)) => {
                    Event::Text(Text::Simple, text)
                }
                _ => Event::Null,
            },
        );
        tell(sink, Event::Open(Aggregate::Struct, due.fields));
        if !due.name.is_empty() {
            tell(sink, named(due.name));
        }
    }

    #[inline(never)]
    fn scalar<S: Sink>(&mut self, id: Id, event: Event<'_>, sink: &mut S) {
        let text = match event {
            Event::Text(Text::Bulk | Text::Simple | Text::Verbatim(_), text) => Some(text),
            _ => None,
        };
        if let (Some(Level { form: Form::Swapped(_), at: 0, .. }), Some(text)) = (self.levels.last(), text)
            && text.len() <= SCORE
        {
            let mut held = [0; SCORE];
            held.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
            self.held = Some((held, text.len()));
            return;
        }
        let shaped = match (node(id), event, text) {
            (Node::Skip, ..) => return,
            (Node::Any, Event::Integer(value), _) if value.unsigned_abs() > SAFE => Event::Exact(value),
            (Node::Text, Event::Integer(value), _) => {
                Event::Text(Text::Simple, self.kept.keep(Digits::of(value).text()))
            }
            (Node::Bulk, _, Some(text)) => Event::Text(Text::Bulk, text),
            (Node::Blob, _, Some(text)) => Event::Text(Text::Blob, text),
            (Node::Status, _, Some(b"OK")) => Event::Boolean(true),
            (Node::Status, Event::Null, _) => Event::Boolean(false),
            (Node::Text | Node::Status, _, Some(text)) => Event::Text(Text::Simple, text),
            (Node::Int | Node::Number, _, Some(text)) => match number::integer(text) {
                Some(value) => Event::Integer(value),
                None if node(id) == Node::Number && is_double(text) => Event::Double(text),
                None => event,
            },
            (Node::Int, Event::Boolean(value), _) => Event::Integer(value.into()),
            (Node::Int, Event::Double(text), _) => number::whole(text).map_or(event, Event::Integer),
            // -1 is what a full filter adds
            (Node::Bool, Event::Integer(value @ -1..=1), _) => Event::Boolean(value == 1),
            (Node::Bool, _, Some(b"true")) => Event::Boolean(true),
            (Node::Bool, _, Some(b"false")) => Event::Boolean(false),
            (Node::Double, _, Some(text)) if is_double(text) => Event::Double(text),
            (Node::Double, _, Some(b"NaN" | b"-NaN")) => Event::Double(b"nan"),
            (Node::Double, Event::Integer(value), _) => {
                Event::Double(self.kept.keep(Digits::of(value).text()))
            }
            (Node::Parsed(format), _, Some(text)) => return format.tell(text, sink),
            (Node::Numbers(_), _, Some(text)) => return Format::Numbers.tell(text, sink),
            (Node::Indexed(..), ..) => {
                // no struct, and still a value under a key
                tell(sink, Event::Null);
                event
            }
            (Node::Array(_) | Node::Pairs(..), Event::Null, _) => return empty(Aggregate::Array, sink),
            (Node::Set(_), Event::Null, _) => return empty(Aggregate::Set, sink),
            (Node::Map(..) | Node::Keyed(..) | Node::By(_), Event::Null, _) => {
                return empty(Aggregate::Map, sink);
            }
            _ => event,
        };
        tell(sink, shaped);
    }
}

fn empty<S: Sink>(kind: Aggregate, sink: &mut S) {
    tell(sink, Event::Open(kind, Some(0)));
    tell(sink, CLOSE);
}

fn named(name: &'static [u8]) -> Event<'static> {
    Event::Text(Text::Name, name)
}

/// Tells the field that holds all other elements of a record, `len` of the server's.
fn rest<S: Sink>(layout: Layout, len: u32, sink: &mut S) {
    if let Some(name) = layout.rest {
        tell(sink, named(name));
        tell(sink, Event::Open(Aggregate::Array, Some(len / layout.period)));
    }
}

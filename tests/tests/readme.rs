//! The tables in the README, "What you call, what you get": their Rust is compiled, and does what they say.

use redwire_core::command::Call;
use redwire_core::commands::*;
use redwire_core::owned::{Bytes, Frame};
use redwire_core::record::Record;
use redwire_core::request::Request;
use redwire_core::resp::encode;

/// Gives the cells of the README's table with these titles, without spaces and the escapes of bars.
fn table(titles: &str) -> Vec<Vec<String>> {
    let readme = include_str!("../../README.md");
    let (_, rows) = readme.split_once(titles).expect("README.md has this table");
    let cells = |row: &str| {
        row.replace("\\|", "/")
            .split('|')
            .map(|cell| cell.replace('/', "|").trim().to_string())
            .collect::<Vec<_>>()
    };
    rows.lines().skip(2).take_while(|row| row.starts_with('|')).map(|row| cells(row)[1..].to_vec()).collect()
}

fn squeezed(code: &str) -> String {
    code.replace(|char: char| char.is_whitespace(), "")
}

/// Gives the first code in a cell.
fn code(cell: &str) -> String {
    squeezed(cell.split('`').nth(1).unwrap_or_default())
}

fn sends(call: &Call, words: &str) {
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    assert!(call.encode(&mut sent).is_ok() && encode::command(&mut expected, &words).is_ok());
    assert_eq!(String::from_utf8_lossy(&sent), String::from_utf8_lossy(&expected));
}

#[test]
fn methods_follow_from_commands() {
    let [key, value, script, a, b] = ["key", "value", "script", "a", "b"];
    let mut rows = table("| on the wire | JavaScript | Rust (`commands::`) |").into_iter();
    macro_rules! row {
        ($call:expr) => {
            let row = rows.next().expect("the README has this row");
            assert_eq!(squeezed(stringify!($call)), code(&row[2]));
            sends($call.as_ref(), row[0].trim_matches('`'));
        };
    }
    row!(getrange(key, 0, 3));
    row!(xinfo_stream(key));
    row!(json::get(key));
    row!(set(key, value).ex(10).nx());
    row!(lpop(key).count(2));
    row!(del([a, b]));
    row!(blpop([a, b], 1.0));
    row!(eval_ro(script).keys([a, b]).args([value]));
    row!(hset(key, [(a, 1)]));
    row!(geoadd(key, [(13.4, 52.5, a)]));
    row!(lmove(a, b, LeftRight::Left, LeftRight::Right));
    row!(geosearch(key, GeosearchFrom::frommember(a), By::byradius(5.0, Unit::Km)));
    assert_eq!(rows.next(), None, "every row is tried");
}

#[test]
fn replies_have_the_types_that_the_readme_says() {
    fn gives<T>(_: &impl Request<Output = T>) {}
    let mut rows = table("| the reply | such as | JavaScript | Rust |").into_iter();
    macro_rules! row {
        ($call:expr => $reply:ty) => {
            let row = rows.next().expect("the README has this row");
            let name = |call: &str| call.split('(').next().map(str::to_string);
            assert_eq!(name(&squeezed(stringify!($call))), name(&code(&row[1])));
            assert_eq!(squeezed(stringify!($reply)), code(&row[3]));
            gives::<$reply>(&$call);
        };
    }
    row!(set("k", 1) => bool);
    row!(expire("k", 5) => bool);
    row!(incr("n") => i64);
    row!(zscore("z", "m") => Option<f64>);
    row!(get("k") => Option<Bytes>);
    row!(lrange("l", 0, -1) => Vec<Bytes>);
    row!(mget(["a", "b"]) => Vec<Option<Bytes>>);
    row!(smembers("s") => Vec<Bytes>);
    row!(hgetall("h") => Vec<(Bytes, Bytes)>);
    row!(zpopmin("z").count(2) => Vec<(Bytes, f64)>);
    row!(blpop(["l"], 1.0) => Option<(Bytes, Bytes)>);
    row!(scan("0") => (String, Vec<Bytes>));
    row!(info() => Record);
    row!(eval("return 1") => Frame);
    assert_eq!(rows.next(), None, "every row is tried");
    gives::<Option<String>>(&get("k").text());
    gives::<i64>(&eval("return 1").typed::<i64>());
}

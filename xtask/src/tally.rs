//! What a suite proved, read from what it printed.
//!
//! cargo's test harness, wasm-bindgen's and our reporter for Node all print `test NAME ... ok` and `test result: ...`.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::AddAssign;

/// How many promises there are; they are numbered from 1.
pub(crate) const PROMISES: u16 = 135;

/// Counts of tests, and the promises that passed ones are named after.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed.
    pub(crate) failed: u64,
    /// Tests that were left out.
    pub(crate) skipped: u64,
    /// Numbers of the promises proven.
    pub(crate) promises: BTreeSet<u16>,
    /// What was printed of the tests that failed.
    pub(crate) failures: Vec<String>,
    telling: bool,
}

/// How many lines are kept of what failed.
const TOLD: usize = 100;

impl Tally {
    /// Takes the next line of a suite's output.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.skipped += count(counts, "ignored");
        } else if let Some(name) = passed(line) {
            self.promises
                .extend(bracketed(name).chain(named(name)).filter(|number| (1..=PROMISES).contains(number)));
        }
        self.tell(line);
    }

    /// Keeps the line if it is of a test that failed: its verdict and what follows, up to the next one's.
    fn tell(&mut self, line: &str) {
        let failed = line.starts_with("test ") && line.ends_with(" ... FAILED");
        let ends = ["test ", "group ", "nothing to run ", "failures:"];
        if failed || line.starts_with("---- ") {
            self.telling = true;
        } else if ends.iter().any(|start| line.starts_with(start)) {
            self.telling = false;
        }
        if self.telling && self.failures.len() < TOLD {
            self.failures.push(line.into());
        }
    }

    /// Takes the outcome of a suite's process: one that broke off without counting a failure counts as one.
    pub(crate) fn end(&mut self, success: bool) {
        if !success && self.failed == 0 {
            self.failed = 1;
        }
    }
}

impl AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, other: &Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.promises.extend(&other.promises);
        self.failures.extend_from_slice(&other.failures);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// `3` out of `ok. 12 passed; 3 failed; ...`.
fn count(counts: &str, what: &str) -> u64 {
    let words: Vec<&str> = counts.split([' ', ';', ',', '.']).filter(|word| !word.is_empty()).collect();
    let pair = words.windows(2).find(|pair| pair[1] == what);
    pair.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

fn passed(line: &str) -> Option<&str> {
    let name = line.strip_prefix("test ").or_else(|| line.strip_prefix("group "))?;
    name.strip_suffix(" ... ok")
}

/// `[promise 54]` and `[promises 43, 44]` in the titles of JavaScript tests.
fn bracketed(title: &str) -> impl Iterator<Item = u16> {
    let groups = title.split('[').skip(1).filter_map(|group| group.split_once(']'));
    let lists = groups
        .filter_map(|(group, _)| group.strip_prefix("promises ").or_else(|| group.strip_prefix("promise ")));
    lists.flat_map(|list| list.split(',').filter_map(|number| number.trim().parse().ok()))
}

/// `promise_54` in the names of Rust tests, as often as it stands there.
fn named(function: &str) -> impl Iterator<Item = u16> {
    function.split("promise_").skip(1).filter_map(|rest| {
        let digits = rest.find(|next: char| !next.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read(line));
        tally
    }

    fn proven(output: &str) -> Vec<u16> {
        tally(output).promises.into_iter().collect()
    }

    const NONE: [u16; 0] = [];

    #[test]
    fn sums_the_results_of_all_test_binaries() {
        let output = "running 2 tests\ntest a ... ok\ntest b ... ignored, slow\n\n\
            test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s\n\
            test result: FAILED. 11 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let tally = tally(output);
        assert_eq!((tally.passed, tally.failed, tally.skipped), (12, 2, 1));
        assert_eq!(tally.to_string(), "12 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn a_passed_rust_test_proves_the_promises_in_its_name() {
        assert_eq!(proven("test slots::promise_54_hash_tags ... ok"), [54]);
        assert_eq!(proven("test promise_3_and_promise_12 ... ok"), [3, 12]);
        assert_eq!(proven("test core/src/lib.rs - promise_7 (line 3) ... ok"), [7]);
    }

    #[test]
    fn a_passed_js_test_proves_the_promises_in_its_title() {
        assert_eq!(proven("test lock.test.mjs > [promise 54] frees ... ok"), [54]);
        assert_eq!(proven("test a > [promises 43, 44] one [promise 1] ... ok"), [1, 43, 44]);
        assert_eq!(proven("group a > [promise 9] over both protocols ... ok"), [9]);
    }

    #[test]
    fn what_did_not_pass_proves_nothing() {
        assert_eq!(
            proven("test promise_54 ... FAILED\ntest promise_55 ... ignored\n  | test promise_56 ... ok"),
            NONE
        );
        assert_eq!(proven("test a > [promise 54] b ... ignored, no server"), NONE);
    }

    #[test]
    fn numbers_that_are_no_promises_are_passed_over() {
        assert_eq!(proven("test promise_0 ... ok\ntest promise_136 ... ok\ntest promise_x ... ok"), NONE);
        assert_eq!(proven("test a > [promise 99999999] [promised 4] [5] b ... ok"), NONE);
    }

    #[test]
    fn what_failed_is_kept_with_what_it_said() {
        let rust = "test a ... ok\ntest b ... FAILED\ntest c ... ok\n\nfailures:\n\n---- b stdout ----\nwhy\n\nfailures:\n    b";
        assert_eq!(tally(rust).failures, ["test b ... FAILED", "---- b stdout ----", "why", ""]);
        let js = "test a > b ... FAILED\n  | why\ngroup a > c ... ok\n  | print";
        assert_eq!(tally(js).failures, ["test a > b ... FAILED", "  | why"]);
        assert_eq!(tally(&"test a > b ... FAILED\n".repeat(200)).failures.len(), TOLD);
    }

    #[test]
    fn a_suite_that_broke_off_has_failed() {
        let mut tally = tally("test result: ok. 5 passed; 0 failed; 0 ignored");
        tally.end(false);
        assert_eq!(tally.failed, 1);
        tally.end(false);
        assert_eq!(tally.failed, 1);
    }
}

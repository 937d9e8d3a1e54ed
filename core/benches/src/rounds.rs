//! Interleaved rounds: machines are noisy, so all contestants run in turn and medians are compared.

use std::fs;
use std::time::{Duration, Instant};

/// Rounds that count.
const ROUNDS: usize = 9;
/// How long each contestant runs in a round.
const SLICE: Duration = Duration::from_millis(300);

/// Somebody who does the work; a turn does `operations` operations.
pub struct Contestant<'a> {
    /// Its name.
    pub name: &'static str,
    /// Runs one turn.
    pub turn: Box<dyn FnMut() + 'a>,
}

/// One slice.
#[derive(Clone, Copy, Debug)]
struct Slice {
    /// Operations per second.
    rate: f64,
    /// Nanoseconds of CPU of this thread per operation, where the system tells.
    cpu: f64,
}

/// Runs all in turn and prints medians, with ratios to the contestant called `reference`.
pub fn compete(title: &str, operations: usize, contestants: &mut [Contestant<'_>], reference: &str) {
    let mut slices = vec![Vec::new(); contestants.len()];
    for round in 0..=ROUNDS {
        for step in 0..contestants.len() {
            let who = (round + step) % contestants.len();
            let slice = measure(operations, &mut contestants[who].turn);
            // the first round warms up
            if round > 0 {
                slices[who].push(slice);
            }
        }
    }
    let medians: Vec<Slice> = slices.iter().map(|slices| median(slices)).collect();
    let other = contestants.iter().position(|contestant| contestant.name == reference);
    let other = other.map_or(medians[0], |index| medians[index]);
    println!("\n{title} ({ROUNDS} rounds of {} ms, medians)\n", SLICE.as_millis());
    println!("| client | op/s | x {reference} | CPU ns/op | x {reference} |\n|---|--:|--:|--:|--:|");
    for (contestant, Slice { rate, cpu }) in contestants.iter().zip(&medians) {
        let (faster, cheaper) = (rate / other.rate, cpu / other.cpu);
        println!("| {} | {rate:.0} | {faster:.2} | {cpu:.0} | {cheaper:.2} |", contestant.name);
    }
}

fn measure(operations: usize, turn: &mut dyn FnMut()) -> Slice {
    let (before, start) = (cpu(), Instant::now());
    let mut done = 0.0;
    while start.elapsed() < SLICE {
        turn();
        done += operations as f64;
    }
    Slice { rate: done / start.elapsed().as_secs_f64(), cpu: (cpu() - before) / done }
}

fn median(slices: &[Slice]) -> Slice {
    let of = |field: fn(&Slice) -> f64| {
        let mut values: Vec<f64> = slices.iter().map(field).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Slice { rate: of(|slice| slice.rate), cpu: of(|slice| slice.cpu) }
}

/// Gives the nanoseconds that this thread ran for, or nothing that is a number.
fn cpu() -> f64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

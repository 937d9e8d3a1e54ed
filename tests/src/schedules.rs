//! Random schedules by the thousand: who runs them all, and says which one failed.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What happened, over many schedules.
pub trait Counts: Debug + Default + Send {
    /// Adds what happened in others.
    fn add(&mut self, other: &Self);

    /// Gives all counters: the name, how often it happened, and how often it must have, over all schedules.
    fn counters(&self) -> Vec<(&'static str, u32, u32)>;
}

/// Makes a struct `Tally` of counters, which [`Counts`]; each must be more than 50 in the end, or than what is said.
#[macro_export]
macro_rules! tally {
    (@least) => { 50 };
    (@least $least:literal) => { $least };
    ($($name:ident $(> $least:literal)?,)*) => {
        /// What happened, over all schedules.
        #[derive(Debug, Default)]
        struct Tally {
            $($name: u32,)*
        }

        impl $crate::schedules::Counts for Tally {
            fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            fn counters(&self) -> Vec<(&'static str, u32, u32)> {
                vec![$((stringify!($name), self.$name, $crate::tally!(@least $($least)?)),)*]
            }
        }
    };
}

/// Runs `schedules` of them, unless `REDWIRE_SCHEDULES` says how many, each by its number as the seed, on as many threads as there are
/// processors; then everything must have happened. With `REDWIRE_SEED` that one only.
pub fn run_all<C: Counts>(schedules: u64, run: impl Fn(u64, &mut C) + Sync) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let mut tally = C::default();
    if let Some(seed) = number("REDWIRE_SEED") {
        return run(seed, &mut tally);
    }
    let schedules = number("REDWIRE_SCHEDULES").unwrap_or(schedules);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let every = |first: usize| {
        let mut tally = C::default();
        for seed in (first as u64..schedules).step_by(threads) {
            if let Err(cause) = catch_unwind(AssertUnwindSafe(|| run(seed, &mut tally))) {
                eprintln!("replay with REDWIRE_SEED={seed}");
                resume_unwind(cause);
            }
        }
        tally
    };
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|first| scope.spawn(move || every(first))).collect();
        for thread in started {
            tally.add(&thread.join().unwrap_or_else(|cause| resume_unwind(cause)));
        }
    });
    println!("{schedules} schedules: {tally:?}");
    for (name, count, least) in tally.counters() {
        assert!(count > least, "{name} happened {count} times only");
    }
}

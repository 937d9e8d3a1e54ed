//! Random schedules by the thousand: who runs them all, and says which one failed.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How many schedules there are, unless `REDWIRE_SCHEDULES` says.
const SCHEDULES: u64 = 10_000;
/// How often each thing must have happened over all of them.
const OFTEN: u32 = 50;

/// What happened, over many schedules.
pub trait Counts: Debug + Default + Send {
    /// Adds what happened in others.
    fn add(&mut self, other: &Self);

    /// Gives all counters by their names.
    fn counters(&self) -> Vec<(&'static str, u32)>;
}

/// Makes a struct `Tally` of counters, which [`Counts`].
#[macro_export]
macro_rules! tally {
    ($($name:ident,)*) => {
        /// What happened, over all schedules.
        #[derive(Debug, Default)]
        struct Tally {
            $($name: u32,)*
        }

        impl $crate::schedules::Counts for Tally {
            fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            fn counters(&self) -> Vec<(&'static str, u32)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

/// Runs the schedule of every seed, on as many threads as there are processors; then everything must have happened. With `REDWIRE_SEED`
/// that one only.
pub fn run_all<C: Counts>(run: impl Fn(u64, &mut C) + Sync) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let mut tally = C::default();
    if let Some(seed) = number("REDWIRE_SEED") {
        return run(seed, &mut tally);
    }
    let schedules = number("REDWIRE_SCHEDULES").unwrap_or(SCHEDULES);
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
    for (name, count) in tally.counters() {
        assert!(count > OFTEN, "{name} happened {count} times only");
    }
}

//! Thousands of random schedules over a pool: blocking commands, leases that change their connection, scripts and locks, in a world that
//! fails in every way it can, and callers that go on while they are being told.
//!
//! Checked after each step, besides what `simulate.rs` checks of one link (I-1 to I-5, I-7): what blocks never stands before somebody else's command; what
//! is sent on a lease is executed on one link, in order, or not at all (no EXEC without its WATCH); whoever comes next on a link finds it
//! as new; an element that a blocking command did not take is still there; no more links are open than may be, places that are held alone
//! counted; nobody gets a lock that
//! another holds. In the end nothing is left in memory. A failure names its seed: `REDWIRE_SEED=n cargo test --test simulate_pool`.
//! `cargo xtask simulate` runs a million schedules.

mod checks;
mod world;

use allocation_counter::measure;
use redwire_tests::schedules::run_all;
use redwire_tests::tally;
use world::World;

const STEPS: u32 = 400;
/// What an idle connection of the pool holds in memory at most, though a schedule may have filled it: bytes, and pieces.
const IDLE: (i64, i64) = (64 << 10, 24);

tally! {
    replies, unanswered, in_doubt, never_sent, cancels, late_cancels, cuts, leases, places, lost, late, full, high, dropped, popped, expired,
    conflicts, reused, idle, shutdowns, unblocked, down, refusals, distrusted, wrong_passwords, renewed, refused, told, stale, pushes,
    broken, muted, silent, resent, deserted, rests, reactions, scripts, unknown, locks, taken, timeouts,
}

fn simulate(seed: u64, tally: &mut Tally) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step(tally);
        world.check_now(tally);
    }
    world.finish(tally);
    world.check_now(tally);
    world.check(tally);
    let connections = world.fleet.pool.connections().count() as i64;
    let idle = measure(|| drop(world.fleet.pool));
    assert!(-idle.bytes_current < IDLE.0 * connections, "an idle pool holds {} bytes", -idle.bytes_current);
    assert!(-idle.count_current < IDLE.1 * connections, "an idle pool holds {} pieces", -idle.count_current);
}

/// Runs one schedule; nothing of it may be left in memory.
fn run(seed: u64, tally: &mut Tally) {
    let memory = measure(|| simulate(seed, tally));
    assert_eq!((memory.bytes_current, memory.count_current), (0, 0), "everything was given back");
}

#[test]
fn every_schedule_of_a_pool_keeps_the_promises() {
    run_all(10_000, run);
}

//! Takes a lock again and again, as roughly as a process can; for the test that no two hold it at once.
//!
//! Told the class of locks, as `contender.mjs` is, where the server is, the lock's name, how often to take it, and a seed. Writes a line per time that it held the lock: what it did with
//! it, and from when until when, in milliseconds, it could rely on it.

use oorandom::Rand32;
use redwire_core::client::{Client, LockBuilder};
use redwire_core::commands::{command, ping};
use redwire_core::connection::Config;
use redwire_core::error::{Error, LockError};
use redwire_tests::clients::{client, wait};
use redwire_tests::transport::now;
use std::io::Write;
use std::thread;
use std::time::Duration;

/// How long the lock lives.
const TIMEOUT: Duration = Duration::from_millis(120);

/// What becomes of a lock that is held.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Release,
    /// The process ends.
    Crash,
    /// It holds the lock for longer than it may.
    Pause,
    /// It asks for more time.
    Extend,
    /// It is kept for longer than it lives.
    Keep,
    /// It is killed on the server's side, with everybody else.
    Kill,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("an argument");
    let class = next();
    let (address, name) = (next().parse().expect("an address"), next());
    let (count, seed): (u32, u64) = (next().parse().expect("a number"), next().parse().expect("a number"));
    let client = client(address, Config { backoff: (1, 20), ..Config::default() });
    let lock = if class == "Lock" { client.lock(&name).watching() } else { client.lock(&name) };
    let lock = lock.timeout(TIMEOUT).sleep(Duration::from_millis(2));
    let mut random = Rand32::new(seed);
    for _ in 0..count {
        let deed = match random.rand_range(0..100) {
            0 => Deed::Crash,
            1..4 => Deed::Pause,
            4..8 => Deed::Extend,
            8..12 => Deed::Kill,
            12..15 => Deed::Keep,
            _ => Deed::Release,
        };
        let work = Duration::from_micros(random.rand_range(0..1_500).into());
        wait(hold(&client, &lock, deed, work));
    }
}

/// Takes the lock, works, and does with it what is to be done.
async fn hold(client: &Client, lock: &LockBuilder, deed: Deed, work: Duration) {
    let mut held = loop {
        match lock.acquire().await {
            Ok(held) => break held,
            // killed too often
            Err(Error::Failure(_) | Error::NoLink { .. }) => {}
            Err(error) => unreachable!("{error}"),
        }
    };
    let from = now().0;
    thread::sleep(work);
    match deed {
        Deed::Pause => thread::sleep(TIMEOUT * 2),
        // what fails leaves the lock as it was
        Deed::Extend => drop(held.extend(TIMEOUT / 2).await),
        Deed::Keep => {
            let end = from + 2 * TIMEOUT.as_millis() as u64;
            let busy = async {
                while now().0 < end {
                    let _ = client.execute(ping()).await;
                }
            };
            // where it could not be kept, it is relied on no longer
            let _ = held.keep(busy).await;
        }
        Deed::Kill => {
            let kill = command("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("no");
            // it is the killer's own link that ends first
            let _ = client.execute(kill.typed::<()>()).await;
        }
        Deed::Release | Deed::Crash => {}
    }
    let until = held.valid_until().map_or(u64::MAX, |until| until.0).min(now().0);
    let mut out = std::io::stdout();
    writeln!(out, "{deed:?} {from} {until}").and_then(|()| out.flush()).expect("somebody listens");
    match deed {
        Deed::Crash => std::process::abort(),
        Deed::Pause => {
            let released = held.release().await;
            assert!(
                matches!(
                    released,
                    Err(Error::Lock(LockError::Lost) | Error::Failure(_) | Error::NoLink { .. })
                ),
                "its time was up: {released:?}"
            );
        }
        _ => match held.release().await {
            Ok(()) | Err(Error::Lock(LockError::Lost) | Error::Failure(_) | Error::NoLink { .. }) => {}
            Err(error) => unreachable!("{error}"),
        },
    }
}

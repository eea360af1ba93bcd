//! Lives of a shop by chance: payments, refunds, disputes, webhooks that are lost or shuffled, an
//! application that writes by itself, every entry point, several sessions, faults, terminated sessions.
//! At every rest the books are held against an oracle of their own. A life that fails tells its
//! seed and the fewest steps that still fail.
//!
//! `INVOICE_SYNC_LIVES`: how many of each host. `INVOICE_SYNC_SEED`: only this one; a life that fails is
//! repeated by `INVOICE_SYNC_SEED=… make lives`.
//! `INVOICE_SYNC_FIRST_SEED`: from this one on. `INVOICE_SYNC_STEPS`: how long a life is.
//! `INVOICE_SYNC_SHRINK`: for how many seconds a life that fails is cut down.
//! `INVOICE_SYNC_LIVES_SPARE`: no session is terminated. `INVOICE_SYNC_LIVES_HISTORY`: what the
//! tables say of the invoices and payments that a failure names is told as well.

mod application;
mod entry_points;
mod history;
mod hosts;
mod oracle;
mod play;
mod rest;
mod sales;
mod script;
mod shrink;
mod step;
mod watch;
mod world;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use hosts::Host;
use step::Step;
use world::{Ground, World};

/// How many steps a life has.
const LENGTH: usize = 200;

/// How many lives each host has.
const COUNT: u64 = 10;

/// How many lives are lived at once.
const ABREAST: usize = 3;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

/// Other seeds every day.
fn first_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let days = since.expect("the clock is past 1970").as_secs() / (24 * 60 * 60);
    days * 1_000_000
}

/// Plays the steps in a shop of their own; tells at which step what went wrong.
fn live(ground: &Ground, host: &Host, steps: &[Step]) -> Result<(), (usize, String)> {
    let mut at = 0;
    let tells = std::env::var("INVOICE_SYNC_LIVES_HISTORY").is_ok();
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::begin(ground, host);
        for (number, step) in steps.iter().enumerate() {
            at = number;
            if let Err(failure) = world.play(step) {
                let history = if tells {
                    world.history(&failure)
                } else {
                    String::new()
                };
                return Err(format!("{failure}\n    {history}"));
            }
        }
        Ok(())
    }));
    let outcome = lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(text.unwrap_or_else(|| "a panic without words".to_owned()))
    });
    outcome.map_err(|what| (at, what))
}

/// A failure's kind, by which a shorter life is known to fail alike.
fn kind(what: &str) -> String {
    let words = what.lines().take(2).collect::<Vec<_>>().join(" ");
    let words = words.split([';', '{']).next().unwrap_or_default();
    let words = words
        .split_whitespace()
        .map(|word| word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric()));
    let words = words.filter(|word| word.chars().all(|letter| letter.is_ascii_alphabetic()));
    words.collect::<Vec<_>>().join(" ")
}

/// Lives, and cuts down what failed.
fn tell_life(ground: &Ground, host: &Host, seed: u64) -> Option<String> {
    let length = usize::try_from(number("INVOICE_SYNC_STEPS", LENGTH as u64)).expect("fits");
    let steps = script::write(seed, length);
    let (at, what) = live(ground, host, &steps).err()?;
    let steps = steps[..=at].to_vec();
    let mut said = what;
    let wanted = kind(&said);
    let time = Duration::from_secs(number("INVOICE_SYNC_SHRINK", 60));
    let few = shrink::shrink(steps, time, |fewer| match live(ground, host, fewer) {
        Err((_, what)) if kind(&what) == wanted => {
            said = what;
            true
        }
        _ => false,
    });
    let lines: Vec<String> = few.iter().map(|step| format!("  {step:?}")).collect();
    Some(format!(
        "INVOICE_SYNC_SEED={seed} make lives, host {}, step {at}: {said}\n  steps that still fail:\n{}",
        host.name,
        lines.join("\n")
    ))
}

fn live_all(host: &'static Host) {
    let ground = Ground::open(host.name, &[host]);
    let count = usize::try_from(number("INVOICE_SYNC_LIVES", COUNT)).expect("fits");
    let seeds: Vec<u64> = match std::env::var("INVOICE_SYNC_SEED") {
        Ok(_) => vec![number("INVOICE_SYNC_SEED", 0)],
        Err(_) => {
            let first = number("INVOICE_SYNC_FIRST_SEED", first_seed());
            (0..count as u64).map(|number| first + number).collect()
        }
    };
    // Not captured: it is printed for lives that pass, too.
    let announced = writeln!(
        std::io::stderr(),
        "{} lives from INVOICE_SYNC_SEED={} on, host {}",
        seeds.len(),
        seeds[0],
        host.name
    );
    announced.expect("it is printed");
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..ABREAST.min(seeds.len()) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(failure) = tell_life(&ground, host, *seed) {
                        println!("{failure}");
                        failures.lock().expect("no panic").push(failure);
                    }
                }
            });
        }
    });
    println!("{} lives took {:?}", seeds.len(), began.elapsed());
    let log = ground.server.log_text();
    for sign in ["signal ", "PANIC", "stack backtrace", "XX000", "TRAP"] {
        let found = log.lines().find(|line| line.contains(sign));
        assert!(
            found.is_none(),
            "the server's log says: {}",
            found.unwrap_or_default()
        );
    }
    let failures = failures.into_inner().expect("no panic");
    assert!(
        failures.is_empty(),
        "{} of {} lives failed:\n{}",
        failures.len(),
        seeds.len(),
        failures.join("\n")
    );
}

#[test]
fn lives_on_the_default_tables() {
    live_all(&hosts::DEFAULT);
}

#[test]
fn lives_in_minor_units() {
    live_all(&hosts::MINOR_UNITS);
}

#[test]
fn lives_on_tables_with_triggers() {
    live_all(&hosts::TRIGGERS);
}

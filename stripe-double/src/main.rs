//! The double as a program, for the demonstration and the benchmarks.

use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, thread};
use stripe_double::{Config, Double, Key};

const USAGE: &str = "\
A stand-in for Stripe (and for Resend's POST /emails) on 127.0.0.1

usage: stripe-double [options]

  --port N           listen on this port (any free one if not given)
  --port-file PATH   write the port into this file once it listens
  --latency-ms N     wait this long before each answer
  --rate-limit N     answer 429 beyond this many requests a second
  --key KEY          accept this key (sk_test_..., sk_live_..., rk_test_..., rk_live_...); may be given
                     several times; sk_test_double and sk_live_double if not given
  --help             show this";

struct Options {
    config: Config,
    port_file: Option<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match read(arguments).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("stripe-double: {message}");
            ExitCode::from(2)
        }
    }
}

/// Serves until a signal ends the process.
fn run(options: Options) -> Result<(), String> {
    let port = options.config.port;
    let double = Double::start(options.config)
        .map_err(|error| format!("cannot listen on 127.0.0.1:{port}: {error}"))?;
    println!("stripe-double listens on {}", double.url());
    if let Some(path) = options.port_file {
        write_port(&path, double.port())
            .map_err(|error| format!("cannot write the port to \"{path}\": {error}"))?;
    }
    loop {
        thread::park();
    }
}

/// Writes the port to a file atomically, so that a reader never sees a part of it.
fn write_port(path: &str, port: u16) -> std::io::Result<()> {
    let unfinished = format!("{path}.unfinished");
    fs::write(&unfinished, format!("{port}\n"))?;
    fs::rename(&unfinished, path)
}

fn read(arguments: Vec<String>) -> Result<Options, String> {
    let mut config = Config::default();
    let mut port_file = None;
    let mut keys = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (name, joined) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, None),
        };
        let known = [
            "--port",
            "--port-file",
            "--latency-ms",
            "--rate-limit",
            "--key",
        ];
        if !known.contains(&name.as_str()) {
            return Err(format!("unknown option \"{name}\", see --help"));
        }
        let value = joined.or_else(|| arguments.next());
        let value = value.ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--port" => config.port = number(&name, &value)?,
            "--port-file" => port_file = Some(value),
            "--latency-ms" => config.latency = Duration::from_millis(number(&name, &value)?),
            "--rate-limit" => config.rate_limit = Some(number(&name, &value)?),
            _ => keys.push(key(value)?),
        }
    }
    if !keys.is_empty() {
        config.keys = keys;
    }
    Ok(Options { config, port_file })
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    let message = |_| format!("{name} needs a whole number in range, not \"{value}\"");
    value.parse().map_err(message)
}

fn key(value: String) -> Result<Key, String> {
    let prefixes = ["sk_test_", "sk_live_", "rk_test_", "rk_live_"];
    if prefixes.iter().any(|prefix| value.starts_with(prefix)) {
        return Ok(Key::new(value));
    }
    let message = "--key must begin with sk_test_, sk_live_, rk_test_ or rk_live_";
    Err(message.into())
}

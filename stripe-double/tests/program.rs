//! The command-line program.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn the_program_prints_its_address() {
    let folder = std::env::temp_dir().join(format!("stripe-double-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let port_file = folder.join("port");
    let mut program = Command::new(env!("CARGO_BIN_EXE_stripe-double"))
        .args(["--key", "sk_test_program", "--latency-ms=1", "--port-file"])
        .arg(&port_file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let url = line
        .trim()
        .strip_prefix("stripe-double listens on ")
        .expect("it says where");
    let answer = common::agent()
        .get(format!("{url}/v1/account"))
        .header("authorization", "Bearer sk_test_program")
        .call();
    assert_eq!(answer.expect("it answers").status(), 200);
    let began = std::time::Instant::now();
    while !port_file.exists() {
        assert!(
            began.elapsed().as_secs() < 5,
            "the port file is not written"
        );
    }
    let port = std::fs::read_to_string(&port_file).unwrap();
    assert!(url.ends_with(&format!(":{}", port.trim())));
    program.kill().unwrap();
    program.wait().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_program_refuses_invalid_arguments() {
    for (arguments, expected) in [
        (vec!["--prot", "1"], "unknown option \"--prot\", see --help"),
        (vec!["--port"], "--port needs a value"),
        (
            vec!["--port", "70000"],
            "--port needs a whole number in range, not \"70000\"",
        ),
        (vec!["--key", "pk_test_x"], "--key must begin with"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_stripe-double"))
            .args(&arguments)
            .output()
            .expect("the program runs");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
}

//! The shell block of docs/how-to.md that passes alerts on.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::page;
use crate::harness::{Shop, wait_until};

/// The block's processes, all of which end with this.
struct Block(Child);

impl Drop for Block {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let killed = Command::new("kill").args(["--", &group]).status();
        assert!(killed.is_ok_and(|status| status.success()));
        self.0.wait().expect("it ends");
    }
}

#[test]
fn an_alert_is_posted_to_slack() {
    let mut shop = Shop::open();
    let slack = TcpListener::bind("127.0.0.1:0").expect("a port");
    let text = page("how-to.md");
    let block = text.split("```sh\n").nth(1).expect("a block of shell");
    let block = block.split("\n```").next().expect("it ends");
    let block = block
        .replace("-d shop", &format!("-d {}", shop.name()))
        .replace("sleep 5", "sleep 0.1");
    let url = format!("http://{}/services/T1", slack.local_addr().expect("bound"));
    let running = Command::new("bash")
        .args(["-c", &block])
        .env("SLACK_URL", url)
        .stdout(Stdio::null())
        .process_group(0)
        .spawn();
    let _running = Block(running.expect("bash starts"));
    wait_until("the block listens", || {
        let listening = "select count(*) from pg_stat_activity
            where datname = current_database() and application_name = 'psql' and query = 'select;'";
        shop.text(listening).as_deref() == Some("1")
    });

    shop.execute(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount)
        values ('INV-\"1\"', 'Ann', 'Paid', 100)",
    );
    shop.sweep();
    let (mut caller, _) = slack.accept().expect("it is posted");
    let mut posted = Vec::new();
    let ended = |posted: &[u8]| posted.ends_with(b"}");
    while !ended(&posted) {
        let mut some = [0; 4096];
        let count = caller.read(&mut some).expect("it is readable");
        assert!(count > 0, "{}", String::from_utf8_lossy(&posted));
        posted.extend(&some[..count]);
    }
    caller
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        .expect("it is answered");
    let posted = String::from_utf8_lossy(&posted);
    let (_, body) = posted.split_once("\r\n\r\n").expect("it has a body");
    let body: serde_json::Value = serde_json::from_str(body).expect("it is JSON");
    let text = body["text"].as_str().expect("a text");
    assert!(
        text.starts_with("*warning* Invoice INV-\"1\" is marked Paid"),
        "{text}"
    );
}

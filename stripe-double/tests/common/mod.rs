//! HTTP requests for all tests.

// Every test file is a program of its own and uses a part of this module.
#![allow(dead_code)]

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use stripe_double::{Config, Double};
use ureq::Agent;

pub const TEST_KEY: &str = "sk_test_double";
pub const LIVE_KEY: &str = "sk_live_double";

/// An answer: status, headers, body.
pub struct Answered {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub body: Value,
}

impl Answered {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn error(&self, field: &str) -> &str {
        self.body["error"][field].as_str().unwrap_or_default()
    }

    /// Returns the ids of a list's objects, in order.
    pub fn ids(&self) -> Vec<String> {
        strings(&self.body["data"], "id")
    }

    /// Returns the types of a list's events, in order.
    pub fn types(&self) -> Vec<String> {
        strings(&self.body["data"], "type")
    }
}

fn strings(list: &Value, field: &str) -> Vec<String> {
    let list = list.as_array().expect("a list was answered");
    let texts = list
        .iter()
        .map(|one| one[field].as_str().unwrap_or_default());
    texts.map(str::to_owned).collect()
}

pub fn start() -> Double {
    start_with(Config::default())
}

pub fn start_with(config: Config) -> Double {
    Double::start(config).expect("the double starts")
}

pub fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build();
    Agent::new_with_config(config)
}

/// Sends a GET with the test mode's key.
pub fn get(double: &Double, path: &str) -> Answered {
    get_with(
        double,
        path,
        &[("authorization", &format!("Bearer {TEST_KEY}"))],
    )
}

pub fn get_live(double: &Double, path: &str) -> Answered {
    get_with(
        double,
        path,
        &[("authorization", &format!("Bearer {LIVE_KEY}"))],
    )
}

pub fn get_with(double: &Double, path: &str, headers: &[(&str, &str)]) -> Answered {
    ask(&agent(), double, path, headers).expect("an answer comes")
}

pub fn ask(
    agent: &Agent,
    double: &Double,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Answered, ureq::Error> {
    let mut request = agent.get(format!("{}{path}", double.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    read(request.call()?)
}

pub fn post(double: &Double, path: &str, headers: &[(&str, &str)], body: &Value) -> Answered {
    let mut request = agent().post(format!("{}{path}", double.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let sent = request.send(body.to_string()).expect("an answer comes");
    read(sent).expect("the answer is whole")
}

pub fn delete(double: &Double, path: &str) -> Answered {
    let sent = agent().delete(format!("{}{path}", double.url())).call();
    read(sent.expect("an answer comes")).expect("the answer is whole")
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> Result<Answered, ureq::Error> {
    let text = answer.body_mut().read_to_string()?;
    Ok(Answered {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
    })
}

/// Sends a GET over a plain TCP connection and returns the connection.
pub fn raw_get(double: &Double, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", double.port())).expect("it connects");
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: double\r\nAuthorization: Bearer {TEST_KEY}\r\n\r\n");
    stream
        .write_all(head.as_bytes())
        .expect("it takes the request");
    stream
}

/// Reads until the other side closes.
pub fn read_all(mut stream: TcpStream) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all)?;
    Ok(all)
}

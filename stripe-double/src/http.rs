//! Reads HTTP/1.1 requests from a connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;

const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 256 * 1024 * 1024;
const MAX_HEADERS: usize = 100;

/// A request as it was sent; header names are in lower case.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) keep_alive: bool,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// Why no request could be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The client closed the connection, or the server stops.
    Closed,
    /// Not valid HTTP/1.1, or a feature that the double does not support; the text says why.
    Malformed(&'static str),
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> Self {
        ReadError::Closed
    }
}

/// The reading side of a connection.
pub(crate) struct Incoming<'a> {
    stream: &'a TcpStream,
    buffer: Vec<u8>,
}

impl<'a> Incoming<'a> {
    pub(crate) fn new(stream: &'a TcpStream) -> Self {
        Incoming {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Waits for the next request.
    pub(crate) fn next(&mut self) -> Result<Request, ReadError> {
        let (mut request, head_length, length) = loop {
            if let Some(parsed) = parse_head(&self.buffer)? {
                break parsed;
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(ReadError::Malformed("the request's head is too large"));
            }
            self.fill()?;
        };
        if request.header("expect").is_some() {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let end = head_length + length;
        while self.buffer.len() < end {
            self.fill()?;
        }
        request.body = self.buffer[head_length..end].to_vec();
        self.buffer.drain(..end);
        Ok(request)
    }

    fn fill(&mut self) -> Result<(), ReadError> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk)? {
            0 => Err(ReadError::Closed),
            read => {
                self.buffer.extend_from_slice(&chunk[..read]);
                Ok(())
            }
        }
    }
}

/// Returns the request without its body, and the lengths of head and body; `None` if the head is incomplete.
fn parse_head(buffer: &[u8]) -> Result<Option<(Request, usize, usize)>, ReadError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let head_length = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(ReadError::Malformed("the request is not HTTP/1.1")),
    };
    let target = parsed.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = parsed.headers.iter().map(|header| {
        let value = String::from_utf8_lossy(header.value).trim().to_owned();
        (header.name.to_ascii_lowercase(), value)
    });
    let mut request = Request {
        method: parsed.method.unwrap_or("").to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
        keep_alive: false,
    };
    let connection = request.header("connection").map(str::to_ascii_lowercase);
    request.keep_alive = match (connection.as_deref(), parsed.version) {
        (Some("close"), _) => false,
        (Some("keep-alive"), _) => true,
        (_, version) => version == Some(1),
    };
    if request.header("transfer-encoding").is_some() {
        return Err(ReadError::Malformed(
            "chunked bodies are not taken, send Content-Length",
        ));
    }
    let length = match request.header("content-length").map(str::parse) {
        None => 0,
        Some(Ok(length)) if length <= MAX_BODY => length,
        Some(_) => return Err(ReadError::Malformed("the Content-Length is unusable")),
    };
    Ok(Some((request, head_length, length)))
}

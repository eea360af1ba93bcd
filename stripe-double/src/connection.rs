//! One connection: answers its requests one after the other, or applies faults to them.

use crate::answer::Answer;
use crate::control;
use crate::control_actions::PREFIX;
use crate::errors::ApiError;
use crate::faults::{Action, AppliedFault};
use crate::http::{Incoming, ReadError, Request};
use crate::limits::RateLimit;
use crate::lock::lock;
use crate::objects::Kind;
use crate::resend;
use crate::routes;
use crate::state::Shared;
use serde_json::json;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Whether the connection can take another request.
type CanContinue = bool;

pub(crate) fn serve(shared: &Shared, stream: Arc<TcpStream>, number: u64) {
    let mut incoming = Incoming::new(&stream);
    loop {
        let request = match incoming.next() {
            Ok(request) => request,
            Err(ReadError::Closed) => return,
            Err(ReadError::Malformed(why)) => {
                let answer = Answer::json(400, &json!({ "error": { "message": why } }));
                // The client may have closed the connection.
                let _ = (&*stream).write_all(&answer.bytes(false));
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        };
        let goes_on = if request.path.starts_with(PREFIX) {
            let answer = control::answer(shared, &request);
            send(&stream, &answer, request.keep_alive)
        } else {
            handle(shared, &stream, number, &request)
        };
        if !goes_on.unwrap_or(false) {
            // The registry's handle must not keep the connection open.
            shared.connections.forget(number);
            return;
        }
    }
}

/// Records a request and answers it according to latency, limits and faults.
fn handle(
    shared: &Shared,
    stream: &TcpStream,
    number: u64,
    request: &Request,
) -> io::Result<CanContinue> {
    let recorded = lock(&shared.journal).record(request);
    let (flight, in_flight) = shared.in_flight.enter();
    let answered = |status| lock(&shared.journal).answered(recorded, status);
    if let Err(error) = admit(shared, request, in_flight) {
        let answer = routes::refuse(shared, request, error);
        answered(answer.status);
        drop(flight);
        return send(stream, &answer, request.keep_alive);
    }
    let fault = lock(&shared.faults).pick(request);
    let latency = lock(&shared.limits).latency;
    if !latency.is_zero() && !shared.connections.pause(latency) {
        return Ok(false);
    }
    let Some(fault) = fault else {
        let answer = respond(shared, request);
        answered(answer.status);
        // Who has the answer may send the next request at once.
        drop(flight);
        return send(stream, &answer, request.keep_alive);
    };
    if let Some(answer) = answer_of(&fault, shared, request) {
        answered(answer.status);
        return send(stream, &answer, request.keep_alive);
    }
    match fault.action {
        Action::Latency(more) => {
            if !shared.connections.pause(more) {
                return Ok(false);
            }
            let answer = respond(shared, request);
            answered(answer.status);
            send(stream, &answer, request.keep_alive)
        }
        Action::Hold => {
            let answer = respond(shared, request);
            if !shared.connections.hold() {
                return Ok(false);
            }
            answered(answer.status);
            send(stream, &answer, request.keep_alive)
        }
        Action::Reset => {
            shared.connections.forget(number);
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
            Ok(false)
        }
        Action::Hang => {
            shared.connections.wait_for_stop();
            Ok(false)
        }
        Action::TruncatedBody => {
            let answer = respond(shared, request);
            answered(answer.status);
            let mut sent = answer.bytes(false);
            sent.truncate(sent.len() - answer.body.len().div_ceil(2));
            (&*stream).write_all(&sent)?;
            Ok(false)
        }
        Action::OversizedBody(bytes) => {
            answered(200);
            send_oversized(stream, bytes, request.keep_alive)
        }
        Action::SlowBody { piece, pause } => {
            let answer = respond(shared, request);
            answered(answer.status);
            trickle(shared, stream, &answer, piece, pause, request.keep_alive)
        }
        // CloseBeforeAnswer, and the faults that `answer_of` handles.
        _ => Ok(false),
    }
}

fn admit(shared: &Shared, request: &Request, in_flight: usize) -> Result<(), ApiError> {
    if !request.path.starts_with("/v1/") {
        return Ok(());
    }
    let mut limits = lock(&shared.limits);
    if limits.concurrency.is_some_and(|most| in_flight > most) {
        return Err(ApiError::rate_limited(Some("global-concurrency")));
    }
    if let Some(per_second) = limits.endpoint_rate {
        let endpoint = endpoint_of(request);
        let rate = limits.endpoints.entry(endpoint);
        let rate = rate.or_insert_with(|| RateLimit::new(per_second));
        rate.admit("endpoint-rate")?;
    }
    let rate = limits.rate.as_mut();
    rate.map_or(Ok(()), |rate| rate.admit("global-rate"))
}

/// Returns the method and the path of a request, without the id at its end.
fn endpoint_of(request: &Request) -> String {
    let path = request.path.as_str();
    let lists = Kind::ALL.into_iter().map(Kind::list_path);
    let mut lists = lists.filter(|list| path != *list && path.starts_with(list));
    let path = match lists.next() {
        Some(list) => format!("{list}/{{id}}"),
        None => path.to_owned(),
    };
    format!("{} {path}", request.method)
}

fn respond(shared: &Shared, request: &Request) -> Answer {
    match request.path.as_str() {
        resend::PATH => resend::answer(&shared.store, &shared.outbox, request),
        _ => routes::answer(shared, request),
    }
}

/// Returns the whole answer if the fault changes the answer itself, and not how it is sent.
fn answer_of(fault: &AppliedFault, shared: &Shared, request: &Request) -> Option<Answer> {
    let mut answer = match &fault.action {
        Action::RateLimited => refuse(shared, request, ApiError::rate_limited(None)),
        Action::LockTimeout => refuse(shared, request, ApiError::lock_timeout()),
        Action::Status(status) => refuse(shared, request, ApiError::server(*status)),
        Action::Html(status) => {
            let page = "<html><head><title>Error</title></head><body>Error</body></html>\n";
            Answer::raw(*status, "text/html; charset=utf-8", page.into())
        }
        Action::InvalidJson => Answer::raw(
            200,
            "application/json",
            br#"{"object": "list", "data": ["#.into(),
        ),
        Action::Redirect(url) => Answer::raw(302, "text/plain", Vec::new()).with("Location", url),
        _ => return None,
    };
    if let Some(value) = &fault.should_retry {
        answer = answer.with("Stripe-Should-Retry", value);
    }
    if let Some(seconds) = fault.retry_after {
        answer = answer.with("Retry-After", seconds.to_string());
    }
    Some(answer)
}

fn refuse(shared: &Shared, request: &Request, error: ApiError) -> Answer {
    if request.path == resend::PATH {
        return resend::refuse(error.status);
    }
    routes::refuse(shared, request, error)
}

fn send(mut stream: &TcpStream, answer: &Answer, keep_alive: bool) -> io::Result<CanContinue> {
    stream.write_all(&answer.bytes(keep_alive))?;
    Ok(keep_alive)
}

/// Sends a JSON string of this many bytes, including quotes.
fn send_oversized(mut stream: &TcpStream, bytes: u64, keep_alive: bool) -> io::Result<CanContinue> {
    let head = Answer::raw(200, "application/json", Vec::new());
    let bytes = bytes.max(2);
    let length = usize::try_from(bytes).unwrap_or(usize::MAX);
    stream.write_all(&head.head(length, keep_alive))?;
    stream.write_all(b"\"")?;
    let filling = [b'x'; 64 * 1024];
    let mut left = length - 2;
    while left > 0 {
        let piece = left.min(filling.len());
        stream.write_all(&filling[..piece])?;
        left -= piece;
    }
    stream.write_all(b"\"")?;
    Ok(keep_alive)
}

fn trickle(
    shared: &Shared,
    mut stream: &TcpStream,
    answer: &Answer,
    piece: usize,
    pause: Duration,
    keep_alive: bool,
) -> io::Result<CanContinue> {
    stream.write_all(&answer.head(answer.body.len(), keep_alive))?;
    for part in answer.body.chunks(piece.max(1)) {
        stream.write_all(part)?;
        if !shared.connections.pause(pause) {
            return Ok(false);
        }
    }
    Ok(keep_alive)
}

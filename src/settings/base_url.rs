//! The rule for base URLs: https, or a loopback address; no user name, query or fragment.

use std::net::{IpAddr, Ipv6Addr};

use crate::pg::guc::{Refusal, ValueSource};

/// Accepts `https://host[:port][/path]`, and `http://…` if the host is a loopback address. Rejects a user name, a
/// password, a query or a fragment.
pub(super) fn check(value: &str, _source: ValueSource) -> Result<(), Refusal> {
    let Some((is_encrypted, rest)) = split_scheme(value.trim()) else {
        return Err(refused(
            c"The value does not begin with https:// or http://.",
        ));
    };
    if rest.contains(['@', '?', '#']) {
        return Err(refused(
            c"A user name, password, query or fragment is not allowed.",
        ));
    }
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    if !path.bytes().all(is_path_byte) {
        return Err(refused(
            c"The path contains characters that are not allowed.",
        ));
    }
    let Some(host) = host_of(authority) else {
        return Err(refused(c"The host or the port is not valid."));
    };
    if !is_encrypted && !is_loopback(host) {
        return Err(refused(
            c"Without encryption, others could read the API key in transit.",
        ));
    }
    Ok(())
}

/// Returns the base without a slash at the end, ready for a path.
pub(super) fn without_trailing_slash(base: String) -> String {
    base.trim_end_matches('/').to_owned()
}

fn refused(detail: &'static std::ffi::CStr) -> Refusal {
    Refusal {
        reason: "is not an allowed base URL",
        detail,
        hint: c"Use https://host or https://host/path; http:// is for 127.0.0.0/8, [::1] and localhost.",
        hides_statement: false,
    }
}

fn split_scheme(url: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    if scheme.eq_ignore_ascii_case("https") {
        Some((true, rest))
    } else if scheme.eq_ignore_ascii_case("http") {
        Some((false, rest))
    } else {
        None
    }
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte)
}

/// Returns the host without port and brackets, if both are well formed.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, port)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (name, port) = authority.split_at(end);
            is_host_name(name).then_some((name, port))?
        }
    };
    is_port(port).then_some(host)
}

fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Accepts the empty string, or a colon and a number from 1 to 65535.
fn is_port(port: &str) -> bool {
    match port.strip_prefix(':') {
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && digits.parse::<u16>().is_ok_and(|number| number > 0)
        }
        None => port.is_empty(),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

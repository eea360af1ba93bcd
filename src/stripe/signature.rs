//! The signature of a webhook: whether Stripe, and nobody else, sent this body.
//!
//! Source: <https://docs.stripe.com/webhooks#verify-manually>. The header is
//! `t=<unix>,v1=<hex>[,v1=<hex>…][,v0=…]`; the signed text is `{t}.{raw body}`;
//! the key is the whole secret as Stripe shows it, `whsec_` included.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How far the sender's clock may be from ours, either way, in seconds: what
/// Stripe's own libraries allow.
pub(crate) const TOLERANCE_SECONDS: u64 = 300;

/// The length of an HMAC-SHA256.
const DIGEST_BYTES: usize = 32;

/// Why a signature was not accepted. For the operator; a stranger is told nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// There is no header.
    Missing,
    /// The header is not of the documented form.
    Malformed,
    /// No `v1` in it: other schemes prove nothing.
    NoKnownScheme,
    /// No secret made this signature of this body.
    NoMatch,
    /// Genuine, but this many seconds old (or, negative, ahead).
    Stale { seconds: i64 },
}

/// The parts of the header that count.
struct Header {
    timestamp: i64,
    signatures: Vec<[u8; DIGEST_BYTES]>,
}

/// Accepts `body` where one of `secrets` signed it. `now` is in seconds since
/// 1970; `body` is what was received, byte for byte.
///
/// A `v1` that is no hex of 32 bytes matches nothing. The comparison is
/// [`Mac::verify_slice`], which takes the same time wherever the first
/// difference is; every secret is tried against every signature, whatever matches.
pub(crate) fn verify<'s>(
    body: &[u8],
    header: Option<&str>,
    secrets: impl IntoIterator<Item = &'s str>,
    now: i64,
) -> Result<(), Rejection> {
    let header = parse(header.ok_or(Rejection::Missing)?)?;
    let mut genuine = false;
    for secret in secrets {
        for signature in &header.signatures {
            genuine |= signed_by(secret, header.timestamp, body, signature);
        }
    }
    if !genuine {
        return Err(Rejection::NoMatch);
    }
    let age = now.saturating_sub(header.timestamp);
    if age.unsigned_abs() > TOLERANCE_SECONDS {
        return Err(Rejection::Stale { seconds: age });
    }
    Ok(())
}

fn signed_by(secret: &str, timestamp: i64, body: &[u8], signature: &[u8]) -> bool {
    // HMAC takes keys of any length, so this is never an error.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return false;
    };
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.verify_slice(signature).is_ok()
}

/// Reads `t=…,v1=…,v1=…`. The time is taken as it is written, without sign or
/// leading zeros, because it is part of what was signed.
fn parse(header: &str) -> Result<Header, Rejection> {
    let mut timestamp = None;
    let mut signatures = Vec::new();
    for item in header.split(',') {
        let (name, value) = item.trim().split_once('=').ok_or(Rejection::Malformed)?;
        match name {
            "t" => {
                let seconds: i64 = value.parse().map_err(|_| Rejection::Malformed)?;
                if timestamp.replace(seconds).is_some() || seconds.to_string() != value {
                    return Err(Rejection::Malformed);
                }
            }
            "v1" => signatures.extend(from_hex(value)),
            _ => {}
        }
    }
    let timestamp = timestamp.ok_or(Rejection::Malformed)?;
    if signatures.is_empty() {
        return Err(Rejection::NoKnownScheme);
    }
    Ok(Header {
        timestamp,
        signatures,
    })
}

/// Lower-case hex of 32 bytes; `None` for anything else.
fn from_hex(text: &str) -> Option<[u8; DIGEST_BYTES]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * DIGEST_BYTES {
        return None;
    }
    let mut bytes = [0; DIGEST_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

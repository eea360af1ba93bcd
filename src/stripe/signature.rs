//! Verifies the signature of a webhook.
//!
//! Source: <https://docs.stripe.com/webhooks#verify-manually>. The header is
//! `t=<unix>,v1=<hex>[,v1=<hex>…][,v0=…]`; the signed text is `{t}.{raw body}`; the key is the whole secret as Stripe
//! shows it, including `whsec_`.

use std::hint::black_box;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How far the sender's clock may differ from ours in either direction, in seconds, as in Stripe's own libraries.
pub(crate) const TOLERANCE_SECONDS: u64 = 300;

/// The longest header that is accepted, in bytes. Stripe's header has one `v1` of 68 bytes for each valid secret: two
/// while a secret is rolled.
pub(crate) const MAX_HEADER_BYTES: usize = 4096;

/// The most `v1` in one header, more than Stripe ever sends.
pub(crate) const MAX_SIGNATURES: usize = 16;

/// The largest body that is accepted, in bytes. Stripe's events have a few kilobytes, the largest a few hundred.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;

/// How many bytes are hashed between two calls of `pause`: well below a millisecond of work.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// The length of an HMAC-SHA256.
const DIGEST_BYTES: usize = 32;

/// Why a signature was rejected. For the server's log only; the caller gets no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// There is no header.
    Missing,
    /// The header or the body is larger than any of Stripe's.
    TooLarge,
    /// The header does not have the documented form.
    Malformed,
    /// The header has no valid `v1`; other schemes are not accepted.
    NoKnownScheme,
    /// None of the secrets made this signature of this body.
    NoMatch,
    /// The timestamp is this many seconds old (negative: in the future). The body was not verified.
    Stale { seconds: i64 },
}

/// The parts of the header that are used.
struct Header {
    timestamp: i64,
    signatures: Vec<[u8; DIGEST_BYTES]>,
}

/// Accepts `body` if one of `secrets` signed it. `now` is in seconds since 1970; `body` is the body as received, byte
/// for byte.
///
/// Any client can call the webhook, so work is limited: the body is hashed last, once for each secret, and only if
/// sizes and time are those of a genuine webhook. `pause` is called after each [`CHUNK_BYTES`], so that the caller
/// can check for interrupts.
///
/// A `v1` that is not 32 bytes in hex matches nothing. Comparison takes constant time: every secret is compared with
/// every signature, even after a match.
pub(crate) fn verify<'s>(
    body: &[u8],
    header: Option<&str>,
    secrets: impl IntoIterator<Item = &'s str>,
    now: i64,
    mut pause: impl FnMut(),
) -> Result<(), Rejection> {
    let header = header.ok_or(Rejection::Missing)?;
    if header.len() > MAX_HEADER_BYTES || body.len() > MAX_BODY_BYTES {
        return Err(Rejection::TooLarge);
    }
    let header = parse(header)?;
    let age = now.saturating_sub(header.timestamp);
    if age.unsigned_abs() > TOLERANCE_SECONDS {
        return Err(Rejection::Stale { seconds: age });
    }
    let mut genuine = false;
    for secret in secrets {
        let Some(digest) = sign(secret, header.timestamp, body, &mut pause) else {
            continue;
        };
        for signature in &header.signatures {
            genuine |= are_equal(&digest, signature);
        }
    }
    if genuine {
        Ok(())
    } else {
        Err(Rejection::NoMatch)
    }
}

/// Returns the signature that `secret` makes. Never `None`, because HMAC accepts keys of any length.
fn sign(
    secret: &str,
    timestamp: i64,
    body: &[u8],
    pause: &mut impl FnMut(),
) -> Option<[u8; DIGEST_BYTES]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    for chunk in body.chunks(CHUNK_BYTES) {
        mac.update(chunk);
        pause();
    }
    Some(mac.finalize().into_bytes().into())
}

/// Compares in constant time: reads every byte, and keeps the compiler from stopping at the first difference.
fn are_equal(a: &[u8; DIGEST_BYTES], b: &[u8; DIGEST_BYTES]) -> bool {
    let differences = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    black_box(differences) == 0
}

/// Parses `t=…,v1=…,v1=…`. The timestamp must be written without sign and leading zeros, because its text is part of
/// what was signed.
fn parse(header: &str) -> Result<Header, Rejection> {
    let mut timestamp = None;
    let mut signatures = Vec::new();
    let mut count = 0;
    for item in header.split(',') {
        let (name, value) = item.trim().split_once('=').ok_or(Rejection::Malformed)?;
        match name {
            "t" => {
                let seconds: i64 = value.parse().map_err(|_| Rejection::Malformed)?;
                if timestamp.replace(seconds).is_some() || seconds.to_string() != value {
                    return Err(Rejection::Malformed);
                }
            }
            "v1" => {
                count += 1;
                if count > MAX_SIGNATURES {
                    return Err(Rejection::TooLarge);
                }
                signatures.extend(from_hex(value));
            }
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

/// Decodes 32 bytes of lower-case hex; `None` for anything else.
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

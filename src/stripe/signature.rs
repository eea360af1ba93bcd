//! Verifies the signature of a webhook.
//!
//! Source: <https://docs.stripe.com/webhooks#verify-manually>. The header is
//! `t=<unix>,v1=<hex>[,v1=<hex>…][,v0=…]`; the signed text is `{t}.{raw body}`;
//! the key is the whole secret as Stripe shows it, `whsec_` included.

use std::hint::black_box;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How far the sender's clock may be from ours, either way, in seconds: what
/// Stripe's own libraries allow.
pub(crate) const TOLERANCE_SECONDS: u64 = 300;

/// The longest header that is read, in bytes. Stripe's own has one `v1` for each secret
/// that is valid at once, of 68 bytes each: two while a secret is rolled.
pub(crate) const LONGEST_HEADER: usize = 4096;

/// The most `v1` in one header: more than Stripe ever sends.
pub(crate) const MOST_SIGNATURES: usize = 16;

/// The largest body that is hashed, in bytes. Stripe's events are some kilobytes, the
/// largest some hundred.
pub(crate) const LARGEST_BODY: usize = 1024 * 1024;

/// So much is hashed between two calls of the pause: well below a millisecond's work.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// The length of an HMAC-SHA256.
const DIGEST_BYTES: usize = 32;

/// Why a signature was not accepted. For the server log; the caller gets no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// There is no header.
    Missing,
    /// The header or the body is larger than any of Stripe's.
    TooLarge,
    /// The header is not of the documented form.
    Malformed,
    /// No `v1` in it: other schemes prove nothing.
    NoKnownScheme,
    /// No secret made this signature of this body.
    NoMatch,
    /// This many seconds old (or, negative, ahead), and so not verified.
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
/// Whoever can reach the webhook decides how much work this is, so the body is
/// hashed last, once for each secret, and only where the sizes and the time are those of a
/// genuine webhook. `pause` is called after each piece of [`PIECE_BYTES`]: that is where
/// the caller looks whether it was cancelled.
///
/// A `v1` that is no hex of 32 bytes matches nothing. The comparison takes the same
/// time wherever the first difference is; every secret is compared with every signature,
/// whatever matches.
pub(crate) fn verify<'s>(
    body: &[u8],
    header: Option<&str>,
    secrets: impl IntoIterator<Item = &'s str>,
    now: i64,
    mut pause: impl FnMut(),
) -> Result<(), Rejection> {
    let header = header.ok_or(Rejection::Missing)?;
    if header.len() > LONGEST_HEADER || body.len() > LARGEST_BODY {
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

/// The signature that `secret` makes; HMAC takes keys of any length, so it is always one.
fn sign(
    secret: &str,
    timestamp: i64,
    body: &[u8],
    pause: &mut impl FnMut(),
) -> Option<[u8; DIGEST_BYTES]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    for piece in body.chunks(PIECE_BYTES) {
        mac.update(piece);
        pause();
    }
    Some(mac.finalize().into_bytes().into())
}

/// Looks at every byte, wherever the first difference is, and keeps the compiler from
/// stopping there.
fn are_equal(a: &[u8; DIGEST_BYTES], b: &[u8; DIGEST_BYTES]) -> bool {
    let differences = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    black_box(differences) == 0
}

/// Reads `t=…,v1=…,v1=…`. The time is taken as it is written, without sign or
/// leading zeros, because it is part of what was signed.
fn parse(header: &str) -> Result<Header, Rejection> {
    let mut timestamp = None;
    let mut signatures = Vec::new();
    let mut named = 0;
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
                named += 1;
                if named > MOST_SIGNATURES {
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

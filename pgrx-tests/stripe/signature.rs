//! Webhook signatures: those of Stripe's own libraries are accepted, others are not.

use proptest::prelude::*;

use crate::stripe::signature::{
    CHUNK_BYTES, MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_SIGNATURES, Rejection, TOLERANCE_SECONDS,
};

const BODY: &str = "{ \"id\": \"evt_1\",\n  \"object\":\"event\", \"name\":\"Zoë \u{1F600}\" }";
const SECRET: &str = "whsec_test_secret";
const AT: i64 = 1_700_000_000;

/// The header that npm `stripe` 23.1.0 (`webhooks.generateTestHeaderString`) and PyPI `stripe` 16.1.0
/// (`WebhookSignature._compute_signature`) both generate for this body, secret and time.
const HEADER: &str =
    "t=1700000000,v1=4fc87a6369425d3b5cef1306a69f8c52bfdca67f9f00317c80d197700337fb39";

/// From PyPI `stripe` 16.1.0, for another body and secret.
const OTHER_BODY: &str = "{\"id\":\"evt_2\",\"object\":\"event\"}";
const OTHER_HEADER: &str =
    "t=1700000000,v1=b752d3688ef484f10356e2effd5a5cae55ddb5a2ffad3d6d46db236976259a2f";

fn judge(body: &str, header: &str, secrets: &[&str], now: i64) -> Result<(), Rejection> {
    verify(body.as_bytes(), Some(header), secrets.iter().copied(), now)
}

fn verify<'s>(
    body: &[u8],
    header: Option<&str>,
    secrets: impl IntoIterator<Item = &'s str>,
    now: i64,
) -> Result<(), Rejection> {
    crate::stripe::signature::verify(body, header, secrets, now, || ())
}

/// Returns how many chunks of a body are hashed before the result.
fn chunks_hashed(body: &[u8], header: &str, secrets: &[&str], now: i64) -> (usize, Rejection) {
    let mut chunks = 0;
    let secrets = secrets.iter().copied();
    let verdict =
        crate::stripe::signature::verify(body, Some(header), secrets, now, || chunks += 1);
    (chunks, verdict.expect_err("nobody signed this"))
}

#[test]
fn the_body_is_hashed_once_for_each_secret_whatever_the_header_holds() {
    let body = vec![b' '; MAX_BODY_BYTES];
    let once = MAX_BODY_BYTES / CHUNK_BYTES;
    let zeros = format!(",v1={}", "0".repeat(64));
    for signatures in [1, 2, MAX_SIGNATURES] {
        let header = format!("t={AT}{}", zeros.repeat(signatures));
        for secrets in [&["a"][..], &["a", "b"], &["a", "b", "c"]] {
            assert_eq!(
                chunks_hashed(&body, &header, secrets, AT),
                (secrets.len() * once, Rejection::NoMatch),
                "{signatures} signatures"
            );
        }
    }
}

#[test]
fn what_is_too_large_or_too_old_is_refused_before_anything_is_hashed() {
    let zeros = format!(",v1={}", "0".repeat(64));
    let header = |signatures: usize| format!("t={AT}{}", zeros.repeat(signatures));
    let padded = |length: usize| {
        let short = header(1);
        let padding = "0".repeat(length - short.len() - 4);
        format!("{short},v0={padding}")
    };
    let body = vec![b' '; MAX_BODY_BYTES + 1];
    let allowed = &body[1..];
    for (what, body, header, now, verdict) in [
        (
            "10,000 v1",
            &body[..],
            header(10_000),
            AT,
            Rejection::TooLarge,
        ),
        (
            "many v1",
            allowed,
            header(MAX_SIGNATURES + 1),
            AT,
            Rejection::TooLarge,
        ),
        (
            "a long header",
            allowed,
            padded(MAX_HEADER_BYTES + 1),
            AT,
            Rejection::TooLarge,
        ),
        ("a large body", &body, header(1), AT, Rejection::TooLarge),
        (
            "an old one",
            allowed,
            header(1),
            AT + 301,
            Rejection::Stale { seconds: 301 },
        ),
        (
            "one ahead",
            allowed,
            header(1),
            AT - 301,
            Rejection::Stale { seconds: -301 },
        ),
        ("no v1", allowed, header(0), AT, Rejection::NoKnownScheme),
    ] {
        assert_eq!(
            chunks_hashed(body, &header, &[SECRET], now),
            (0, verdict),
            "{what}"
        );
    }
    let (chunks, verdict) = chunks_hashed(allowed, &padded(MAX_HEADER_BYTES), &[SECRET], AT);
    assert_eq!(
        (chunks > 0, verdict),
        (true, Rejection::NoMatch),
        "the longest that is read"
    );
}

#[test]
fn signatures_of_the_official_libraries_verify() {
    assert_eq!(judge(BODY, HEADER, &[SECRET], AT), Ok(()));
    assert_eq!(
        judge(OTHER_BODY, OTHER_HEADER, &["whsec_other"], AT),
        Ok(())
    );
}

#[test]
fn any_secret_and_any_v1_may_match() {
    let zeros = "0".repeat(64);
    let rolled = HEADER.replace(",v1=", &format!(",v1={zeros},v0=x,v1="));
    assert_eq!(judge(BODY, &rolled, &["whsec_new", SECRET], AT), Ok(()));
    let first = HEADER.to_owned() + ",v1=" + &zeros;
    assert_eq!(judge(BODY, &first, &[SECRET, "whsec_new"], AT), Ok(()));
}

#[test]
fn the_tolerance_applies_in_both_directions() {
    let tolerance = i64::try_from(TOLERANCE_SECONDS).expect("it is small");
    for (now, verdict) in [
        (AT + tolerance, Ok(())),
        (AT - tolerance, Ok(())),
        (AT + tolerance + 1, Err(Rejection::Stale { seconds: 301 })),
        (AT - tolerance - 1, Err(Rejection::Stale { seconds: -301 })),
    ] {
        assert_eq!(judge(BODY, HEADER, &[SECRET], now), verdict, "now {now}");
    }
}

#[test]
fn every_rejection_has_its_reason() {
    let no_match = Err(Rejection::NoMatch);
    for (header, verdict) in [
        ("", Err(Rejection::Malformed)),
        ("nonsense", Err(Rejection::Malformed)),
        ("v1=00", Err(Rejection::Malformed)),
        ("t=", Err(Rejection::Malformed)),
        ("t=+1700000000,v1=00", Err(Rejection::Malformed)),
        ("t=01700000000,v1=00", Err(Rejection::Malformed)),
        ("t=1700000000,t=1700000000,v1=00", Err(Rejection::Malformed)),
        ("t=99999999999999999999,v1=00", Err(Rejection::Malformed)),
        ("t=1700000000", Err(Rejection::NoKnownScheme)),
        ("t=1700000000,v1=zz", Err(Rejection::NoKnownScheme)),
        (
            &HEADER
                .to_uppercase()
                .replace("T=", "t=")
                .replace("V1=", "v1="),
            Err(Rejection::NoKnownScheme),
        ),
        (&HEADER.replace("v1=", "v0="), Err(Rejection::NoKnownScheme)),
        (&HEADER.replace("t=1700000000", "t=1700000001"), no_match),
    ] {
        assert_eq!(judge(BODY, header, &[SECRET], AT), verdict, "{header}");
    }
    assert_eq!(
        verify(BODY.as_bytes(), None, [SECRET], AT),
        Err(Rejection::Missing)
    );
    assert_eq!(judge(BODY, HEADER, &[], AT), no_match);
    assert_eq!(judge(BODY, HEADER, &["whsec_test_secreT"], AT), no_match);
}

/// Replaces one byte of `text`; position and amount are the fuzzer's choice.
fn with_one_byte_changed(text: &str, at: usize, by: u8) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let at = at % bytes.len();
    bytes[at] ^= by.max(1);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40_000))]

    #[test]
    fn one_byte_changed_in_the_body_is_not_signed(at in any::<usize>(), by in any::<u8>()) {
        let body = with_one_byte_changed(BODY, at, by);
        prop_assert_eq!(verify(&body, Some(HEADER), [SECRET], AT), Err(Rejection::NoMatch));
    }

    #[test]
    fn one_byte_changed_in_header_or_secret_is_refused(at in any::<usize>(), by in any::<u8>()) {
        let header = String::from_utf8_lossy(&with_one_byte_changed(HEADER, at, by)).into_owned();
        prop_assert!(judge(BODY, &header, &[SECRET], AT).is_err(), "{}", header);
        let secret = String::from_utf8_lossy(&with_one_byte_changed(SECRET, at, by)).into_owned();
        prop_assert_eq!(judge(BODY, HEADER, &[&secret], AT), Err(Rejection::NoMatch));
    }

    #[test]
    fn no_header_makes_it_panic(header in ".{0,200}", now in any::<i64>()) {
        prop_assert!(judge(BODY, &header, &[SECRET], now).is_err());
    }

    #[test]
    fn no_header_of_nearly_the_right_form_makes_it_panic(
        header in "(t=[-+0-9]{0,22}|v[0-9]=[0-9a-fA-F]{0,70}|[ ,=]){0,6}",
        now in any::<i64>(),
    ) {
        prop_assert!(judge(BODY, &header, &[SECRET], now).is_err());
    }
}

//! Exact conversion of amounts between Stripe's unit and the application's.

use proptest::prelude::*;
use proptest::sample::select;

use super::builders::currency;
use crate::domain::identity::StripeId;
use crate::domain::money::{AmountError, AmountUnit, Currency, Money};

use AmountUnit::{Major, Minor, Stripe};

/// One amount in all units: code, Stripe's number, and the texts in major units, ISO minor units and Stripe's unit.
const ON_ALL_SCALES: [(&str, i64, [&str; 3]); 12] = [
    ("eur", 12_50, ["12.50", "1250", "1250"]),
    ("eur", -12_05, ["-12.05", "-1205", "-1205"]),
    ("eur", 5, ["0.05", "5", "5"]),
    ("jpy", 5000, ["5000", "5000", "5000"]),
    ("isk", 125_000, ["1250", "1250", "125000"]),
    ("ugx", 300_000, ["3000", "3000", "300000"]),
    ("kwd", 12_500, ["12.500", "12500", "12500"]),
    ("tnd", 10, ["0.010", "10", "10"]),
    ("mga", 5, ["5.00", "500", "5"]),
    ("twd", 80_000, ["800.00", "80000", "80000"]),
    ("huf", 99_900, ["999.00", "99900", "99900"]),
    ("krw", 0, ["0", "0", "0"]),
];

#[test]
fn an_amount_reads_and_writes_on_every_scale() {
    for (code, minor, texts) in ON_ALL_SCALES {
        let money = Money::new(minor, currency(code));
        for (unit, text) in [Major, Minor, Stripe].into_iter().zip(texts) {
            assert_eq!(
                Money::from_units(text, unit, money.currency),
                Ok(money),
                "{text} {code} read as {unit:?}"
            );
            assert_eq!(
                money.to_units(unit).as_deref(),
                Ok(text),
                "{minor} {code} written as {unit:?}"
            );
        }
    }
}

#[test]
fn inexact_amounts_are_refused() {
    let inexact = |text: &str, code| AmountError::Inexact(text.into(), currency(code));
    let no_number = |text: &str| AmountError::NotANumber(text.into());
    let too_large = |text: &str| AmountError::OutOfRange(text.into());
    let forty_digits = "9".repeat(40);
    let cases = [
        ("12.505", Major, "eur", inexact("12.505", "eur")),
        ("0.5", Major, "jpy", inexact("0.5", "jpy")),
        ("0.5", Minor, "eur", inexact("0.5", "eur")),
        ("505", Minor, "mga", inexact("505", "mga")),
        ("NaN", Major, "eur", no_number("NaN")),
        ("Infinity", Major, "eur", no_number("Infinity")),
        ("", Major, "eur", no_number("")),
        ("-", Major, "eur", no_number("-")),
        (".5", Major, "eur", no_number(".5")),
        ("1,50", Major, "eur", no_number("1,50")),
        ("1e3", Major, "eur", no_number("1e3")),
        ("--1", Major, "eur", no_number("--1")),
        ("1.2.3", Major, "eur", no_number("1.2.3")),
        ("12 EUR", Major, "eur", no_number("12 EUR")),
        (
            "9223372036854775808",
            Stripe,
            "eur",
            too_large("9223372036854775808"),
        ),
        (
            "92233720368547758.08",
            Major,
            "eur",
            too_large("92233720368547758.08"),
        ),
        (&forty_digits, Major, "eur", too_large(&forty_digits)),
    ];
    for (text, unit, code, expected) in cases {
        assert_eq!(
            Money::from_units(text, unit, currency(code)),
            Err(expected),
            "{text} {code} as {unit:?}"
        );
    }
}

#[test]
fn precision_beyond_iso_is_kept_or_refused() {
    let half_a_krona = Money::new(150, currency("isk"));
    assert_eq!(half_a_krona.to_units(Major).as_deref(), Ok("1.5"));
    assert_eq!(
        half_a_krona.to_units(Minor),
        Err(AmountError::Inexact("1.5 ISK".into(), currency("isk")))
    );
}

#[test]
fn amounts_parse_as_people_and_postgresql_write_them() {
    for (text, cents) in [
        (" 12.5 ", 12_50),
        ("+7", 7_00),
        ("-0", 0),
        ("1.5000000", 1_50),
        ("3.", 3_00),
        ("007", 7_00),
    ] {
        assert_eq!(
            Money::from_units(text, Major, currency("eur")),
            Ok(Money::new(cents, currency("eur"))),
            "{text:?}"
        );
    }
}

#[test]
fn amounts_up_to_64_bits_are_accepted() {
    for minor in [i64::MAX, i64::MIN, i64::MIN + 1] {
        let money = Money::new(minor, currency("eur"));
        let text = money.to_units(Major).expect("any amount has a text");
        assert_eq!(Money::from_units(&text, Major, money.currency), Ok(money));
    }
    let most = Money::new(i64::MAX, currency("eur"));
    assert_eq!(most.checked_add(Money::new(1, currency("eur"))), None);
    assert_eq!(most.checked_add(Money::new(0, currency("usd"))), None);
}

#[test]
fn currencies_are_codes_of_three_letters() {
    assert_eq!(Currency::parse(" EUR "), Currency::parse("eur"));
    for text in ["", "eu", "euro", "e1r", "€", "äu"] {
        assert_eq!(Currency::parse(text), None, "{text:?}");
    }
    assert_eq!(currency("isk").to_string(), "ISK");
}

#[test]
fn money_is_formatted_for_people() {
    for (code, minor, text) in [
        ("eur", 120_00, "120.00 EUR"),
        ("jpy", 5000, "5000 JPY"),
        ("kwd", 1_500, "1.500 KWD"),
        ("eur", -5, "-0.05 EUR"),
    ] {
        assert_eq!(Money::new(minor, currency(code)).to_string(), text);
    }
}

#[test]
fn amounts_due_are_rounded_to_what_can_be_paid() {
    let rounded = |text: &str, unit, code| {
        Money::payable_from_units(text, unit, currency(code)).map(|money| money.minor)
    };
    for (text, unit, code, minor) in [
        ("2473.2965", Major, "usd", 2473_30),
        ("2473.2949", Major, "usd", 2473_29),
        ("0.005", Major, "eur", 1),
        ("-0.005", Major, "eur", -1),
        ("0.0049999", Major, "eur", 0),
        ("99.5", Major, "jpy", 100),
        ("1250.4", Minor, "eur", 12_50),
        ("12.50", Major, "eur", 12_50),
        ("1240.32", Major, "isk", 1240_00),
        ("1240.5", Major, "isk", 1241_00),
        ("-1240.5", Major, "isk", -1241_00),
        ("99.6", Major, "ugx", 100_00),
        ("124032", Stripe, "isk", 1240_00),
        ("1240.4", Minor, "isk", 1240_00),
        ("12.345", Major, "kwd", 12_345),
        ("99.5", Major, "mga", 100),
    ] {
        assert_eq!(rounded(text, unit, code), Ok(minor), "{text} {code}");
    }
    assert!(rounded("NaN", Major, "eur").is_err());
    assert!(rounded(&"9".repeat(36), Major, "eur").is_err());
}

const LISTED: [&str; 8] = ["eur", "jpy", "isk", "ugx", "kwd", "mga", "twd", "huf"];

proptest! {
    #[test]
    fn money_converts_to_every_unit_and_back(minor in any::<i64>(), code in "[a-z]{3}", listed in select(LISTED.to_vec())) {
        for currency in [currency(&code), currency(listed)] {
            let money = Money::new(minor, currency);
            for unit in [AmountUnit::Major, AmountUnit::Minor, AmountUnit::Stripe] {
                if let Ok(text) = money.to_units(unit) {
                    prop_assert_eq!(Money::from_units(&text, unit, currency), Ok(money), "{}", text);
                }
            }
            prop_assert!(money.to_units(AmountUnit::Major).is_ok());
            prop_assert_eq!(money.to_units(AmountUnit::Stripe), Ok(minor.to_string()));
        }
    }

    #[test]
    fn column_amounts_convert_to_money_and_back(whole in any::<i64>(), listed in select(LISTED.to_vec())) {
        let currency = currency(listed);
        for unit in [AmountUnit::Major, AmountUnit::Minor, AmountUnit::Stripe] {
            if let Ok(money) = Money::from_units(&whole.to_string(), unit, currency) {
                let text = money.to_units(unit).expect("what was read can be written");
                let back = Money::from_units(&text, unit, currency);
                prop_assert_eq!(back, Ok(money), "{} {} as {:?}", whole, currency, unit);
            }
        }
    }

    #[test]
    fn any_text_is_an_amount_or_an_error(text in ".{0,60}", digits in "[+-]?[0-9]{0,45}(\\.[0-9]{0,45})?") {
        for text in [text, digits] {
            for unit in [AmountUnit::Major, AmountUnit::Minor, AmountUnit::Stripe] {
                for code in LISTED {
                    let _ = Money::from_units(&text, unit, currency(code));
                }
            }
            let _ = Currency::parse(&text);
            let _ = StripeId::parse(&text);
        }
    }
}

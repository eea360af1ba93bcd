//! Amounts: integers in the smallest unit of a currency, and exact conversion between units.
//!
//! There are two scales. Stripe counts in its own smallest unit, which is not always the minor unit of ISO 4217 (ISK
//! and UGX are sent times 100 although they have no minor unit). [`Money`] contains Stripe's; [`AmountUnit`]
//! describes a column of the application. Conversion is exact or fails.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// An ISO 4217 code, in lower case as in Stripe's API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Currency([u8; 3]);

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        Self::parse(&code).ok_or_else(|| format!("\"{code}\" is no currency code"))
    }
}

/// Currencies that Stripe sends in whole units.
/// Source: <https://docs.stripe.com/currencies#zero-decimal>.
const STRIPE_ZERO_DECIMAL: [&str; 15] = [
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
    "xof", "xpf",
];

/// Currencies that Stripe sends times 1000.
/// Source: <https://docs.stripe.com/currencies#three-decimal>.
const STRIPE_THREE_DECIMAL: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// Currencies without a minor unit in ISO 4217. (MGA has one, although Stripe sends it in whole units; ISK and UGX
/// have none, although Stripe sends them times 100.)
const ISO_ZERO_DECIMAL: [&str; 16] = [
    "bif", "clp", "djf", "gnf", "isk", "jpy", "kmf", "krw", "pyg", "rwf", "ugx", "vnd", "vuv",
    "xaf", "xof", "xpf",
];

/// Currencies with three decimals in ISO 4217.
const ISO_THREE_DECIMAL: [&str; 7] = ["bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"];

impl Currency {
    /// Parses a code of three letters, in any case, with surrounding white space.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 3] = text.trim().as_bytes().try_into().ok()?;
        bytes
            .iter()
            .all(u8::is_ascii_alphabetic)
            .then(|| Self(bytes.map(|b| b.to_ascii_lowercase())))
    }

    /// Returns the currencies that do not have two decimals, in ISO 4217 or at Stripe.
    pub(crate) fn without_two_decimals() -> impl Iterator<Item = Self> {
        let listed: BTreeSet<&str> = STRIPE_ZERO_DECIMAL
            .iter()
            .chain(&STRIPE_THREE_DECIMAL)
            .chain(&ISO_ZERO_DECIMAL)
            .chain(&ISO_THREE_DECIMAL)
            .copied()
            .collect();
        listed.into_iter().filter_map(Self::parse)
    }

    /// Returns the code in lower case, as in Stripe's API.
    pub(crate) fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }

    /// Returns the number of decimals of the unit of Stripe's amounts.
    pub(crate) fn stripe_exponent(&self) -> u32 {
        let code = self.code();
        if STRIPE_ZERO_DECIMAL.contains(&code) {
            0
        } else if STRIPE_THREE_DECIMAL.contains(&code) {
            3
        } else {
            2
        }
    }

    /// Returns the number of decimals of the minor unit in ISO 4217.
    pub(crate) fn iso_exponent(&self) -> u32 {
        let code = self.code();
        if ISO_ZERO_DECIMAL.contains(&code) {
            0
        } else if ISO_THREE_DECIMAL.contains(&code) {
            3
        } else {
            2
        }
    }

    /// Returns the number of decimals of the smallest amount that can be paid: Stripe's amounts in ISK and UGX have two,
    /// which are always 00.
    /// Source: <https://docs.stripe.com/currencies#special-cases>.
    pub(crate) fn payable_exponent(&self) -> u32 {
        self.iso_exponent().min(self.stripe_exponent())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code().to_ascii_uppercase())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The unit of an application's column or of a metadata value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AmountUnit {
    /// Whole currency units with decimals: `12.50`.
    Major,
    /// The minor unit of ISO 4217: `1250` cents, `1250` króna.
    Minor,
    /// Stripe's smallest unit, as its API sends it: `1250` cents, `125000` for 1250 króna.
    Stripe,
}

impl AmountUnit {
    /// Parses the word in the settings table.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "major" => Some(Self::Major),
            "minor" => Some(Self::Minor),
            "stripe" => Some(Self::Stripe),
            _ => None,
        }
    }

    /// Returns the number of decimals by which an amount in whole units is shifted.
    pub(crate) fn exponent(self, currency: Currency) -> u32 {
        match self {
            Self::Major => 0,
            Self::Minor => currency.iso_exponent(),
            Self::Stripe => currency.stripe_exponent(),
        }
    }

    /// As [`Self::exponent`], for a currency with two decimals.
    pub(crate) fn usual_exponent(self) -> i32 {
        match self {
            Self::Major => 0,
            Self::Minor | Self::Stripe => 2,
        }
    }
}

/// Why a text is not an amount of a currency, or an amount cannot be written in a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AmountError {
    /// Not a decimal number (`NaN`, `Infinity`, words).
    NotANumber(String),
    /// More decimals than the unit has.
    Inexact(String, Currency),
    /// Beyond 64 bits.
    OutOfRange(String),
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber(text) => write!(f, "\"{text}\" is not a number"),
            Self::Inexact(text, currency) => {
                write!(f, "{text} is finer than the smallest unit of {currency}")
            }
            Self::OutOfRange(text) => write!(f, "{text} is out of range"),
        }
    }
}

/// An amount in Stripe's smallest unit of its currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Money {
    /// Stripe's smallest unit (see [`Currency::stripe_exponent`]).
    pub(crate) minor: i64,
    pub(crate) currency: Currency,
}

impl Money {
    pub(crate) fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Parses a decimal text in `unit`. Fails if the amount is not exact in Stripe's unit.
    pub(crate) fn from_units(
        text: &str,
        unit: AmountUnit,
        currency: Currency,
    ) -> Result<Self, AmountError> {
        let minor = Decimal::in_minor_units(text, unit, currency)?.to_integer();
        let minor = minor.ok_or_else(|| AmountError::Inexact(text.trim().to_owned(), currency))?;
        Self::from_minor(minor, text, currency)
    }

    /// Parses a decimal text in `unit`, rounded to what can be paid ([`Currency::payable_exponent`]), halves away from
    /// zero.
    pub(crate) fn payable_from_units(
        text: &str,
        unit: AmountUnit,
        currency: Currency,
    ) -> Result<Self, AmountError> {
        let step = currency.stripe_exponent() - currency.payable_exponent();
        let minor = Decimal::in_minor_units(text, unit, currency)?.rounded_to(step);
        let minor = minor.ok_or_else(|| AmountError::OutOfRange(text.trim().to_owned()))?;
        Self::from_minor(minor, text, currency)
    }

    /// Parses a decimal text in `unit`, rounded to Stripe's unit, halves away from zero.
    pub(crate) fn rounded_from_units(
        text: &str,
        unit: AmountUnit,
        currency: Currency,
    ) -> Result<Self, AmountError> {
        let minor = Decimal::in_minor_units(text, unit, currency)?.rounded();
        let minor = minor.ok_or_else(|| AmountError::OutOfRange(text.trim().to_owned()))?;
        Self::from_minor(minor, text, currency)
    }

    fn from_minor(minor: i128, text: &str, currency: Currency) -> Result<Self, AmountError> {
        i64::try_from(minor)
            .map(|minor| Self { minor, currency })
            .map_err(|_| AmountError::OutOfRange(text.trim().to_owned()))
    }

    /// Returns the amount as a decimal text in `unit`. Fails if it is too large, or if the unit is written without
    /// decimals and the amount is not a whole number of it.
    pub(crate) fn to_units(self, unit: AmountUnit) -> Result<String, AmountError> {
        let decimal = Decimal {
            digits: self.minor.into(),
            scale: 0,
        };
        let shift = unit.exponent(self.currency) as i32 - self.currency.stripe_exponent() as i32;
        let shifted = decimal
            .shifted(shift)
            .ok_or_else(|| AmountError::OutOfRange(self.minor.to_string()))?;
        match unit {
            AmountUnit::Major => Ok(shifted.with_digits(self.currency.iso_exponent())),
            AmountUnit::Minor | AmountUnit::Stripe => shifted
                .to_integer()
                .map(|whole| whole.to_string())
                .ok_or_else(|| AmountError::Inexact(self.to_string(), self.currency)),
        }
    }

    /// Returns the sum, or `None` if the currencies differ or it does not fit.
    pub(crate) fn checked_add(self, other: Self) -> Option<Self> {
        (self.currency == other.currency)
            .then(|| self.minor.checked_add(other.minor))?
            .map(|minor| Self { minor, ..self })
    }
}

/// For people: `120.00 EUR`, `5000 JPY`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_units(AmountUnit::Major) {
            Ok(text) => write!(f, "{text} {}", self.currency),
            Err(_) => write!(f, "{} (smallest units) {}", self.minor, self.currency),
        }
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `digits · 10^-scale`. Wide enough for any `i64`, shifted by any exponent of a currency.
struct Decimal {
    digits: i128,
    scale: u32,
}

impl Decimal {
    /// Parses a decimal text in `unit` into a number in Stripe's unit.
    fn in_minor_units(
        text: &str,
        unit: AmountUnit,
        currency: Currency,
    ) -> Result<Self, AmountError> {
        let text = text.trim();
        let shift = currency.stripe_exponent() as i32 - unit.exponent(currency) as i32;
        Self::parse(text)?
            .shifted(shift)
            .ok_or_else(|| AmountError::OutOfRange(text.to_owned()))
    }

    /// Parses `[+-]digits[.digits]`; trailing zeros of the fraction are dropped.
    fn parse(text: &str) -> Result<Self, AmountError> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let fraction = fraction.trim_end_matches('0');
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return Err(AmountError::NotANumber(text.to_owned()));
        }
        // 36 digits and a sign fit into an i128.
        let too_long = || AmountError::OutOfRange(text.to_owned());
        if whole.len() + fraction.len() > 36 {
            return Err(too_long());
        }
        let digits: i128 = format!("{whole}{fraction}")
            .parse()
            .map_err(|_| too_long())?;
        Ok(Self {
            digits: if negative { -digits } else { digits },
            scale: fraction.len() as u32,
        })
    }

    /// Multiplies by `10^shift`.
    fn shifted(self, shift: i32) -> Option<Self> {
        let scale = self.scale as i32 - shift;
        if scale >= 0 {
            return Some(Self {
                digits: self.digits,
                scale: scale as u32,
            });
        }
        let factor = 10_i128.checked_pow(scale.unsigned_abs())?;
        Some(Self {
            digits: self.digits.checked_mul(factor)?,
            scale: 0,
        })
    }

    /// Returns the whole number, or `None` if there is a fraction.
    fn to_integer(&self) -> Option<i128> {
        let divisor = 10_i128.checked_pow(self.scale)?;
        (self.digits % divisor == 0).then_some(self.digits / divisor)
    }

    /// Returns the nearest multiple of `10^step`, halves away from zero.
    fn rounded_to(self, step: u32) -> Option<i128> {
        let scale = self.scale.checked_add(step)?;
        let steps = Self { scale, ..self }.rounded()?;
        steps.checked_mul(10_i128.checked_pow(step)?)
    }

    /// Returns the nearest whole number, halves away from zero.
    fn rounded(&self) -> Option<i128> {
        let divisor = 10_i128.checked_pow(self.scale)?;
        let rest = self.digits % divisor;
        let away = if rest.abs() >= divisor - rest.abs() && rest != 0 {
            rest.signum()
        } else {
            0
        };
        Some(self.digits / divisor + away)
    }

    /// Returns the text with `wanted` decimals, or more if needed to be exact.
    fn with_digits(&self, wanted: u32) -> String {
        let (mut digits, mut scale) = (self.digits, self.scale);
        while scale > wanted && digits % 10 == 0 {
            digits /= 10;
            scale -= 1;
        }
        while scale < wanted {
            digits *= 10;
            scale += 1;
        }
        let sign = if digits < 0 { "-" } else { "" };
        let text = format!(
            "{:0>width$}",
            digits.unsigned_abs(),
            width = scale as usize + 1
        );
        let (whole, fraction) = text.split_at(text.len() - scale as usize);
        if fraction.is_empty() {
            format!("{sign}{whole}")
        } else {
            format!("{sign}{whole}.{fraction}")
        }
    }
}

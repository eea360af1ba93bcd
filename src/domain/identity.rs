//! Ids of Stripe objects, and whether two of them are of one payment.

use std::fmt;

use super::account::{account_of, is_account, qualified, unqualified};

/// The kind of object that an id names, according to its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ObjectKind {
    CheckoutSession,
    PaymentIntent,
    Charge,
    StripeInvoice,
}

/// A well-formed id of an object that is a payment, or leads to payments, with its account if that is not the key's own
/// ([`super::account`]). Without the account, it needs no escaping in a request's path.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StripeId(String);

impl StripeId {
    /// Stripe's ids have at most 255 characters
    /// (<https://docs.stripe.com/upgrades#what-changes-does-stripe-consider-to-be-backward-compatible>).
    const MAX_LENGTH: usize = 255;

    /// Parses an id. Returns `None` for any text that is not the id of a checkout session, payment intent, charge or
    /// Stripe Invoice.
    ///
    /// The id in a client secret is the id of its object.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = without_secret(text.trim());
        let id = match account_of(text) {
            Some(account) if !is_account(account) => return None,
            Some(_) => unqualified(text),
            None => text,
        };
        let well_formed = id.len() <= Self::MAX_LENGTH
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        (well_formed && kind_of(id).is_some()).then(|| Self(text.to_owned()))
    }

    pub(crate) fn kind(&self) -> ObjectKind {
        // `parse` accepts no id without a kind.
        kind_of(unqualified(&self.0)).unwrap_or(ObjectKind::PaymentIntent)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the mode, which only the id of a checkout session contains.
    pub(crate) fn livemode(&self) -> Option<bool> {
        let id = unqualified(&self.0);
        if id.starts_with("cs_test_") {
            Some(false)
        } else if id.starts_with("cs_live_") {
            Some(true)
        } else {
            None
        }
    }
}

impl fmt::Display for StripeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StripeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the first of these texts that is the id of an object of Stripe's that is no payment, does not lead to one here, and
/// belongs to one. Refunds and disputes are left out: a row that has one is not the payment's.
pub(crate) fn other_object(columns: [&Option<String>; 2]) -> Option<String> {
    const PREFIXES: [&str; 9] = [
        "txn_", "evt_", "sub_", "cus_", "pm_", "src_", "tok_", "card_", "plink_",
    ];
    let is_one = |text: &&str| {
        let mut prefixes = PREFIXES.iter();
        let rest = prefixes.find_map(|prefix| text.strip_prefix(prefix));
        rest.is_some_and(|rest| {
            rest.len() >= 8 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    };
    let mut texts = columns.into_iter().flatten().map(|text| text.trim());
    texts.find(is_one).map(str::to_owned)
}

/// Returns the id in a client secret, which applications store in its place; any other text unchanged. Sources:
/// <https://docs.stripe.com/api/payment_intents/object#payment_intent_object-client_secret>,
/// <https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-client_secret>.
pub(crate) fn without_secret(text: &str) -> &str {
    match text.split_once("_secret_") {
        Some((id, _)) if kind_of(unqualified(id)).is_some() => id,
        _ => text,
    }
}

/// Returns whether this is the id of a payment link: it is no payment, but the customers' sessions name it. Source:
/// <https://docs.stripe.com/api/payment-link/object>.
pub(crate) fn is_payment_link(text: &str) -> bool {
    unqualified(text.trim()).starts_with("plink_")
}

fn kind_of(id: &str) -> Option<ObjectKind> {
    const PREFIXES: [(&str, ObjectKind); 5] = [
        ("cs_", ObjectKind::CheckoutSession),
        ("pi_", ObjectKind::PaymentIntent),
        ("ch_", ObjectKind::Charge),
        // Charges of some bank methods: https://docs.stripe.com/api/charges
        ("py_", ObjectKind::Charge),
        ("in_", ObjectKind::StripeInvoice),
    ];
    PREFIXES
        .iter()
        .find(|(prefix, _)| id.len() > prefix.len() && id.starts_with(prefix))
        .map(|(_, kind)| *kind)
}

/// The ids of one Stripe payment.
///
/// An application may store an id in any of its columns, so ids are assigned by their kind and not by their column.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(crate) struct PaymentIds {
    pub(crate) session: Option<String>,
    pub(crate) intent: Option<String>,
    pub(crate) charge: Option<String>,
    /// The Stripe Invoice that the payment paid, or a part of it.
    #[serde(default)]
    pub(crate) stripe_invoice: Option<String>,
}

impl PaymentIds {
    /// Sorts the values of id columns by kind; texts that are not ids are dropped.
    pub(crate) fn from_columns<'a>(columns: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let mut ids = Self::default();
        for id in columns.into_iter().flatten().filter_map(StripeId::parse) {
            let slot = match id.kind() {
                ObjectKind::CheckoutSession => &mut ids.session,
                ObjectKind::PaymentIntent => &mut ids.intent,
                ObjectKind::Charge => &mut ids.charge,
                ObjectKind::StripeInvoice => &mut ids.stripe_invoice,
            };
            slot.get_or_insert_with(|| id.as_str().to_owned());
        }
        ids
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.each().next().is_none()
    }

    /// Returns whether both are ids of one payment. Two different intents are two payments even with the same session
    /// or Stripe Invoice, because applications copy the invoice's session to every row, and several payments may pay one
    /// Stripe Invoice.
    pub(crate) fn same_payment(&self, other: &Self) -> bool {
        match (&self.intent, &other.intent) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => {
                both_equal(&self.session, &other.session)
                    || both_equal(&self.charge, &other.charge)
                    || both_equal(&self.stripe_invoice, &other.stripe_invoice)
            }
        }
    }

    /// Returns whether a row with these ids may stand for `payment`, although they share none: one of the two names only
    /// a session, and Stripe did not tell its intent or its session.
    pub(crate) fn may_stand_for(&self, payment: &Self) -> bool {
        if let (Some(mine), Some(theirs)) = (&self.stripe_invoice, &payment.stripe_invoice)
            && mine != theirs
        {
            return false;
        }
        let lacks_session = payment.session.is_none() && self.intent.is_none();
        let lacks_intent = payment.session.is_some() && payment.intent.is_none();
        self.is_empty() || lacks_session || lacks_intent && self.session.is_none()
    }

    /// Returns the id that identifies the payment: the intent, if there is one.
    pub(crate) fn key(&self) -> Option<&str> {
        self.intent
            .as_deref()
            .or(self.session.as_deref())
            .or(self.charge.as_deref())
            .or(self.stripe_invoice.as_deref())
    }

    /// Returns the checkout session or Stripe Invoice by which the payment came.
    pub(crate) fn origin(&self) -> Option<&str> {
        self.session.as_deref().or(self.stripe_invoice.as_deref())
    }

    /// Returns the ids that Stripe is asked about to learn all of the payment: a session contains its intent and leads to
    /// its Stripe Invoice; a Stripe Invoice leads to its payments, if the key may read it.
    pub(crate) fn to_ask(&self) -> Vec<String> {
        let asked = match (&self.session, &self.stripe_invoice) {
            (Some(session), _) => [Some(session.as_str()), None],
            (None, Some(invoice)) => {
                let payment = self.intent.as_deref().or(self.charge.as_deref());
                [Some(invoice.as_str()), payment]
            }
            (None, None) => [self.key(), None],
        };
        asked.into_iter().flatten().map(str::to_owned).collect()
    }

    /// Returns the ids by which to look up the payment: only the intent if there is one, because a session id next to
    /// it may be a copy (see [`Self::same_payment`]).
    pub(crate) fn lookup(&self) -> impl Iterator<Item = &str> {
        let others = [&self.session, &self.charge, &self.stripe_invoice]
            .into_iter()
            .filter(|_| self.intent.is_none());
        std::iter::once(&self.intent)
            .chain(others)
            .filter_map(Option::as_deref)
    }

    /// Returns a sort key for grouping ids by payment: entries with more ids come first, so that entries with fewer
    /// ids match them.
    pub(crate) fn grouping_order(&self) -> impl Ord {
        (
            self.intent.is_none(),
            self.intent.as_deref(),
            self.session.is_none(),
            self.charge.is_none(),
            self.stripe_invoice.is_none(),
            self,
        )
    }

    /// Returns all ids that are set.
    pub(crate) fn each(&self) -> impl Iterator<Item = &str> {
        [
            &self.session,
            &self.intent,
            &self.charge,
            &self.stripe_invoice,
        ]
        .into_iter()
        .filter_map(Option::as_deref)
    }

    /// Returns the ids that are of one payment only: a Stripe Invoice is not, unless nothing else is known.
    pub(crate) fn of_one_payment(&self) -> impl Iterator<Item = &str> {
        let own = [&self.session, &self.intent, &self.charge];
        let is_alone = own.iter().all(|id| id.is_none());
        let invoice = self.stripe_invoice.as_deref().filter(|_| is_alone);
        own.into_iter().filter_map(Option::as_deref).chain(invoice)
    }

    /// Returns whether `id` is one of these ids.
    pub(crate) fn contains(&self, id: &str) -> bool {
        self.each().any(|own| own == id)
    }

    /// Returns the ids of `other` that are not set here.
    pub(crate) fn lacking(&self, other: &Self) -> Self {
        let lacked = |mine: &Option<String>, theirs: &Option<String>| {
            theirs.clone().filter(|_| mine.is_none())
        };
        Self {
            session: lacked(&self.session, &other.session),
            intent: lacked(&self.intent, &other.intent),
            charge: lacked(&self.charge, &other.charge),
            stripe_invoice: lacked(&self.stripe_invoice, &other.stripe_invoice),
        }
    }

    /// Sets the ids of `other` that are not set here.
    pub(crate) fn complete_from(&mut self, other: &Self) {
        let fill = |mine: &mut Option<String>, theirs: &Option<String>| {
            if mine.is_none() {
                mine.clone_from(theirs);
            }
        };
        fill(&mut self.session, &other.session);
        fill(&mut self.intent, &other.intent);
        fill(&mut self.charge, &other.charge);
        fill(&mut self.stripe_invoice, &other.stripe_invoice);
    }
}

impl PaymentIds {
    /// Returns these ids as those of objects of an account ([`qualified`]).
    pub(crate) fn of(&self, account: Option<&str>) -> Self {
        self.map(|id| qualified(account, id))
    }

    /// Returns the ids that a row of an invoice of this account has in its columns.
    pub(crate) fn of_row(account: Option<&str>, columns: [Option<String>; 2]) -> Self {
        let ids = columns.map(|id| id.map(|id| qualified(account, id.trim())));
        Self::from_columns(ids.iter().map(Option::as_deref))
    }

    /// Returns the ids as Stripe and the application write them.
    pub(crate) fn unqualified(&self) -> Self {
        self.map(|id| unqualified(id).to_owned())
    }

    /// Returns the account of the payment.
    pub(crate) fn account(&self) -> Option<&str> {
        self.each().next().and_then(account_of)
    }

    fn map(&self, change: impl Fn(&str) -> String) -> Self {
        let changed = |id: &Option<String>| id.as_deref().map(&change);
        Self {
            session: changed(&self.session),
            intent: changed(&self.intent),
            charge: changed(&self.charge),
            stripe_invoice: changed(&self.stripe_invoice),
        }
    }
}

/// Ids that Stripe ties together: each element has the ids of one payment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ties<'a>(Vec<&'a PaymentIds>);

impl<'a> Ties<'a> {
    /// Earlier elements take precedence.
    pub(crate) fn new(payments: impl IntoIterator<Item = &'a PaymentIds>) -> Self {
        Self(payments.into_iter().collect())
    }

    /// Adds the other ids of the same payment. Two rows of which one has the session and the other the intent are
    /// then of one payment ([`PaymentIds::same_payment`]).
    pub(crate) fn complete(&self, ids: &PaymentIds) -> PaymentIds {
        let mut ids = ids.clone();
        if self.are_several(&ids) {
            return ids;
        }
        if let Some(tied) = self.0.iter().find(|tied| tied.same_payment(&ids)) {
            ids.complete_from(tied);
        }
        ids
    }
}

impl Ties<'_> {
    /// Returns whether these ids name only a Stripe Invoice, and several payments paid it: they are of none of them alone.
    pub(crate) fn are_several(&self, ids: &PaymentIds) -> bool {
        let names_only_invoice =
            ids.intent.is_none() && ids.charge.is_none() && ids.session.is_none();
        let payments = self.0.iter().filter(|tied| {
            names_only_invoice && both_equal(&tied.stripe_invoice, &ids.stripe_invoice)
        });
        let keys: std::collections::BTreeSet<&str> = payments
            .filter_map(|tied| tied.intent.as_deref().or(tied.charge.as_deref()))
            .collect();
        keys.len() > 1
    }
}

fn both_equal(a: &Option<String>, b: &Option<String>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_secret_is_the_id_that_it_contains() {
        for (text, id) in [
            ("pi_1_secret_x9", Some("pi_1")),
            (" cs_test_a1_secret_fid%2Fx ", Some("cs_test_a1")),
            ("acct_1/pi_1_secret_x9", Some("acct_1/pi_1")),
            ("seti_1_secret_x9", None),
            ("my_secret_x", None),
            ("pi_1%2F", None),
        ] {
            let parsed = StripeId::parse(text);
            assert_eq!(parsed.as_ref().map(StripeId::as_str), id, "{text}");
        }
        assert_eq!(without_secret("my_secret_x"), "my_secret_x");
    }

    #[test]
    fn ids_of_other_objects_are_recognized() {
        let first = |texts: [Option<&str>; 2]| {
            let [one, other] = texts.map(|text| text.map(str::to_owned));
            other_object([&one, &other])
        };
        for other in ["txn_1MiN3gLkdIwHu7ix", "sub_1MowQVLk", "evt_test_1MowQVLk"] {
            assert_eq!(first([None, Some(other)]).as_deref(), Some(other));
            assert_eq!(first([Some(other), Some("pi_1")]).as_deref(), Some(other));
        }
        for none in [
            "pi_1MowQVLk",
            "re_1MowQVLk",
            "txn_1",
            "cash",
            "sub_1 Mow QVLk",
            "PAYID-M5X2Y3Q",
        ] {
            assert_eq!(first([Some(none), None]), None, "{none}");
        }
    }

    #[test]
    fn an_id_of_one_account_is_never_read_as_one_of_another() {
        let of_one = qualified(Some("acct_1"), "pi_1");
        assert_eq!(
            (account_of(&of_one), unqualified(&of_one)),
            (Some("acct_1"), "pi_1")
        );
        let id = StripeId::parse(&of_one).expect("an id");
        assert_eq!(
            (id.kind(), account_of(id.as_str())),
            (ObjectKind::PaymentIntent, Some("acct_1"))
        );
        assert_ne!(qualified(None, "pi_1"), of_one);
        // What a row of the application contains is not an id of another account, in whatever account the invoice is.
        for account in [None, Some("acct_2")] {
            let planted = qualified(account, &of_one);
            assert!(StripeId::parse(&planted).is_none(), "{planted}");
            assert_eq!(unqualified(&planted), of_one);
            assert_eq!(account_of(&planted), account);
        }
        for strange in [
            "/pi_1",
            "acct_/pi_1",
            "cus_1/pi_1",
            "acct_1/",
            "acct_1/pi_1/pi_1",
        ] {
            assert!(StripeId::parse(strange).is_none(), "{strange}");
        }
    }
}

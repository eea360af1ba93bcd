//! Properties that hold for any invoice, rows, evidence and settings.
//!
//! The generated worlds are unusual but possible: a session has one intent, ids of one payment occur together, and
//! the words of the settings differ.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::builders::{
    World, currency, eur, invoice, missing, other_mode, received, row, rules, world,
};
use crate::domain::evidence::{
    Dispute, Evidence, Gratuity, PaymentState, SessionSide, StripePayment, merge_payments,
};
use crate::domain::identity::PaymentIds;
use crate::domain::invoice::{Field, Invoice, InvoiceStatus};
use crate::domain::money::{AmountUnit, Money};
use crate::domain::payment::{Empty, PaymentRow, PaymentStatus};
use crate::domain::plan::Plan;
use crate::domain::rules::{Memory, OtherInvoices, Remembered, Rules};

/// The number of Stripe payments in a world.
const PAYMENTS: usize = 3;

/// The ids of a world's payments: one has all three, one has no session, and one was paid without an intent.
fn all_ids(payment: usize) -> PaymentIds {
    let id = |prefix: &str| Some(format!("{prefix}_{payment}"));
    PaymentIds {
        session: id("cs_live").filter(|_| payment != 1),
        intent: id("pi").filter(|_| payment != 2),
        charge: id("ch").filter(|_| payment != 2),
        stripe_invoice: id("in").filter(|_| payment == 1),
    }
}

/// Mostly small round amounts, so that sums equal totals; sometimes any amount.
fn amounts() -> impl Strategy<Value = i64> {
    prop_oneof![
        12 => (-2_i64..=10).prop_map(|tens| tens * 10_00),
        1 => select(vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX]),
        1 => any::<i64>(),
    ]
}

const FEE: &str = "balance_transaction.fee";
const PROJECT: &str = "metadata.project";

/// What Stripe received or returned: reading its objects refuses negative amounts.
fn amounts_of_stripe() -> impl Strategy<Value = i64> {
    amounts().prop_map(|minor| minor.checked_abs().unwrap_or(i64::MAX))
}

fn columns() -> impl Strategy<Value = Field<Money>> {
    prop_oneof![
        6 => amounts().prop_map(|cents| Field::Value(eur(cents))),
        1 => Just(Field::Null),
        1 => Just(Field::Unreadable("\"ten\" is not a number".into())),
    ]
}

fn invoice_columns() -> impl Strategy<Value = Field<Money>> {
    prop_oneof![5 => columns(), 1 => Just(Field::Unmapped)]
}

fn disputes() -> impl Strategy<Value = Option<Dispute>> {
    let statuses = ["won", "lost", "under_review", "warning_needs_response", "?"];
    prop_oneof![
        3 => Just(None),
        1 => select(statuses.to_vec()).prop_map(|status| Some(Dispute::from_status(status))),
    ]
}

fn some_rules() -> impl Strategy<Value = Rules> {
    let units = vec![AmountUnit::Major, AmountUnit::Minor, AmountUnit::Stripe];
    (any::<[bool; 3]>(), any::<Option<bool>>(), select(units)).prop_map(
        |([partial, refunded, disputed], livemode, unit)| {
            let mut rules = rules();
            rules.livemode = livemode;
            rules.gratuity_unit = unit;
            let words = &mut rules.payment_words;
            words.refunded = words.refunded.take().filter(|_| refunded);
            words.disputed = words.disputed.take().filter(|_| disputed);
            rules.invoice_words.partial = rules.invoice_words.partial.filter(|_| partial);
            rules
        },
    )
}

fn stored_ids() -> impl Strategy<Value = Vec<String>> {
    let texts = ["cs_live_0", "pi_0", "pi_1", "cs_live_2", "cash", " pi_1 "];
    subsequence(texts.map(str::to_owned).to_vec(), 0..=3)
}

fn invoices() -> impl Strategy<Value = Invoice> {
    let words = vec!["Sent", "Overdue", "Partial", "Paid", "Cancelled"];
    let date = select(vec![Field::Unmapped, Field::Null, Field::Value(())]);
    let amounts = (invoice_columns(), invoice_columns(), invoice_columns());
    (select(words), amounts, date, stored_ids(), 0..20).prop_map(
        |(word, (total, amount_paid, balance), paid_at, stored_ids, currency_known)| Invoice {
            currency: match currency_known {
                0 => Err("Taler".into()),
                _ => Ok(currency("eur")),
            },
            total,
            amount_paid,
            balance,
            paid_at,
            stored_ids,
            ..invoice(word)
        },
    )
}

/// The ids of a row: of no payment, or of one, sometimes with the copied session of another.
fn row_ids() -> impl Strategy<Value = PaymentIds> {
    (0..=PAYMENTS, any::<[bool; 2]>()).prop_map(|(payment, [session_alone, copied])| {
        if payment == PAYMENTS {
            return PaymentIds::default();
        }
        let mut ids = all_ids(payment);
        ids.charge = None;
        if session_alone && ids.session.is_some() {
            ids.intent = None;
        } else if copied && ids.intent.is_some() {
            ids.session = all_ids(0).session;
        }
        ids
    })
}

fn rows(gratuity: bool, refunded: bool) -> impl Strategy<Value = Vec<PaymentRow>> {
    let words = vec!["Paid", "Paid", "Pending", "Refunded", "Disputed", "Cleared"];
    let one = (select(words), row_ids(), [columns(), columns(), columns()]);
    prop::collection::vec(one, 0..5).prop_map(move |rows| {
        let mapped = |exists: bool, field| if exists { field } else { Field::Unmapped };
        rows.into_iter()
            .enumerate()
            .map(|(at, (word, ids, [amount, tip, back]))| {
                let mut row = PaymentRow {
                    amount,
                    gratuity: mapped(gratuity, tip),
                    refunded: mapped(refunded, back),
                    ids,
                    paid_at: (at % 2 == 0).then_some(at as i64),
                    unfilled: [(PROJECT.into(), Empty::Null), (FEE.into(), Empty::Zero)].into(),
                    ..row(&format!("row-{at}"), word, 0, &[])
                };
                // The row of a refund names one payment: what it belongs to is not always remembered otherwise.
                if row.amount_minor() < 0 && row.ids.intent.as_deref() != Some("pi_0") {
                    row.ids.session = row.ids.session.filter(|id| id != "cs_live_0");
                }
                row
            })
            .collect()
    })
}

fn memories() -> impl Strategy<Value = Memory> {
    let one = prop::option::of((amounts(), amounts(), disputes()));
    prop::collection::vec(one, PAYMENTS).prop_map(|payments| {
        let mut memory = Memory::default();
        for (payment, known) in payments.into_iter().enumerate() {
            let Some((received, refunded, dispute)) = known else {
                continue;
            };
            // Stripe refunds no more than it received.
            let received = received.max(0);
            let refunded = refunded.clamp(0, received);
            let known = Remembered {
                as_of: 0,
                seen_at: 0,
                currency: None,
                received,
                refunded,
                withheld: dispute.as_ref().map_or(0, |it| match it.withholds_money() {
                    true => received,
                    false => 0,
                }),
                dispute,
                ids: all_ids(payment),
                refunded_latest: refunded,
                own_seen_at: 0,
                is_own: true,
            };
            let ids = all_ids(payment);
            for id in [ids.session, ids.intent, ids.charge].into_iter().flatten() {
                memory.0.insert(id, known.clone());
            }
        }
        memory
    })
}

fn states() -> impl Strategy<Value = PaymentState> {
    let money = |code| move |cents| PaymentState::Received(Money::new(cents, currency(code)));
    prop_oneof![
        10 => amounts_of_stripe().prop_map(money("eur")),
        1 => amounts_of_stripe().prop_map(money("usd")),
        1 => Just(PaymentState::Waiting("processing".into())),
        1 => Just(PaymentState::Never("canceled".into())),
        1 => Just(PaymentState::NothingDue),
        1 => Just(PaymentState::Unknown { field: "status".into(), value: "?".into() }),
    ]
}

fn gratuities() -> impl Strategy<Value = Gratuity> {
    let text = select(vec!["0", "10", "10.00", "1000", "-1", "a lot", ""]).prop_map(str::to_owned);
    prop_oneof![
        4 => Just(Gratuity::None),
        1 => amounts().prop_map(Gratuity::Tip),
        2 => text.clone().prop_map(Gratuity::Text),
        1 => (text.clone(), text).prop_map(|(a, b)| Gratuity::Text(a).merge(Gratuity::Text(b))),
    ]
}

fn payments() -> impl Strategy<Value = Evidence> {
    let names =
        subsequence(["R-1", "inv-2", "inv-3"].map(str::to_owned).to_vec(), 0..=3).prop_shuffle();
    let about = (
        disputes(),
        gratuities(),
        prop_oneof![4 => Just(vec![]), 1 => names],
    );
    let view = (any::<[bool; 2]>(), any::<Option<bool>>(), 0..3_i64);
    (0..PAYMENTS, states(), amounts_of_stripe(), about, view).prop_map(
        |(payment, state, refunded, (dispute, gratuity, references), (view, livemode, at))| {
            let [without_session, without_charge] = view;
            let mut ids = all_ids(payment);
            if ids.intent.is_some() {
                ids.session = ids.session.filter(|_| !without_session);
                ids.charge = ids.charge.filter(|_| !without_charge);
            }
            Evidence::Payment(StripePayment {
                ids,
                former_ids: Vec::new(),
                state,
                as_of: 1,
                tells_returns: true,
                refunded,
                withheld: dispute.as_ref().map_or(0, |it| match it.withholds_money() {
                    true => i64::MAX,
                    false => 0,
                }),
                dispute,
                session_side: match view {
                    [true, true] => SessionSide::Unread,
                    _ => SessionSide::Read,
                },
                livemode: livemode.filter(|_| at == 0),
                gratuity,
                is_renewal_of_named: false,
                invoice_was_read: payment == 1,
                invoice_references: references,
                received_at: Some(at).filter(|at| *at > 0),
                balance_transaction: None,
                net: None,
                reductions: Default::default(),
                attributes: [PROJECT, FEE].map(|it| (it.into(), at.to_string())).into(),
                is_unsettled: false,
                request_id: Some(format!("req_{at}")),
            })
        },
    )
}

fn absences() -> impl Strategy<Value = Evidence> {
    let id = || select(vec!["cs_live_0", "pi_1", "pi_9"]);
    prop_oneof![
        id().prop_map(missing),
        id().prop_map(other_mode),
        Just(Evidence::NotAnId {
            text: "cash".into()
        }),
    ]
}

fn evidence() -> impl Strategy<Value = Vec<Evidence>> {
    prop::collection::vec(prop_oneof![6 => payments(), 1 => absences()], 0..5)
}

fn worlds() -> impl Strategy<Value = World> {
    let columns = any::<[bool; 2]>();
    (columns, invoices(), some_rules(), memories(), 0..10).prop_flat_map(
        |([gratuity, refunded], invoice, rules, memory, just_booked)| {
            rows(gratuity, refunded).prop_map(move |rows| {
                let rules = rules.clone();
                let class_of = |row: PaymentRow| PaymentRow {
                    status: rules.payment_words.class(&row.status_word),
                    ..row
                };
                World {
                    other_invoices: OtherInvoices::default(),
                    in_question: Vec::new(),
                    invoice: Invoice {
                        status: rules.invoice_words.class(&invoice.status_word),
                        ..invoice.clone()
                    },
                    rows: rows.into_iter().map(class_of).collect(),
                    memory: memory.clone(),
                    undone: Vec::new(),
                    finished: BTreeSet::new(),
                    awaited: ["pi_0", "pi_1"].map(str::to_owned).into(),
                    rules: rules.clone(),
                    has_gratuity_column: gratuity,
                    has_refunded_column: refunded,
                    just_booked: just_booked == 0,
                }
            })
        },
    )
}

/// Sorts a plan's changes to rows.
fn sorted(mut plan: Plan) -> Plan {
    plan.payments.sort_by_key(|change| format!("{change:?}"));
    plan
}

/// Returns whether the row is of the payment, by its ids or by what is remembered of them.
fn is_of(row: &PaymentRow, payment: &PaymentIds, world: &World) -> bool {
    let known = world.memory.of(&row.ids);
    row.ids.same_payment(payment) || known.is_some_and(|known| known.ids.same_payment(payment))
}

/// Returns the rows of the payment, without rows that book refunds.
fn rows_of<'a>(ids: &PaymentIds, rows: &'a [PaymentRow]) -> Vec<&'a PaymentRow> {
    rows.iter()
        .filter(|row| row.amount_minor() >= 0 && row.ids.same_payment(ids))
        .collect()
}

/// Returns an issue's kind, severity and object, without text that depends on the state before.
fn issues_of(plan: &Plan) -> Vec<String> {
    plan.issues
        .iter()
        .map(|issue| format!("{:?} {:?} {:?}", issue.kind, issue.severity, issue.object))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(1_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_applied_plan_is_not_made_again(world in worlds(), evidence in evidence()) {
        let plan = world.reconcile(&evidence);
        let after = world.apply(&plan);
        let again = after.reconcile(&evidence);
        prop_assert!(again.changes_nothing(), "{plan:#?}\n{after:#?}\nthen {again:#?}");
        prop_assert_eq!(issues_of(&again), issues_of(&plan), "the issues stay");
        let locally = after.reconcile(&[]);
        prop_assert!(locally.changes_nothing(), "{plan:#?}\n{after:#?}\nthen locally {locally:#?}");
    }

    #[test]
    fn order_and_repetition_do_not_matter(
        (world, evidence, shuffled_rows, shuffled) in (worlds(), evidence()).prop_flat_map(
            |(world, evidence)| {
                let repeated: Vec<_> = evidence.iter().chain(&evidence).cloned().collect();
                let rows = Just(world.rows.clone()).prop_shuffle();
                (Just(world), Just(evidence), rows, Just(repeated).prop_shuffle())
            }
        )
    ) {
        let plan = sorted(world.reconcile(&evidence));
        prop_assert_eq!(&sorted(world.reconcile(&shuffled)), &plan, "evidence");
        let other = World { rows: shuffled_rows, ..world };
        prop_assert_eq!(&sorted(other.reconcile(&evidence)), &plan, "rows");
    }

    #[test]
    fn amounts_and_status_never_fall(world in worlds(), evidence in evidence()) {
        let plan = world.reconcile(&evidence);
        let after = world.apply(&plan);
        let (was, is) = (&world.invoice, &after.invoice);
        let minor = |field: &Field<Money>| field.value().map(|money| money.minor);
        prop_assert!(minor(&is.amount_paid) >= minor(&was.amount_paid), "amount paid fell");
        match was.status {
            InvoiceStatus::Closed => prop_assert_eq!(is, was, "a closed invoice was touched"),
            InvoiceStatus::Paid => prop_assert_eq!(is.status, InvoiceStatus::Paid),
            InvoiceStatus::Partial => prop_assert_ne!(is.status, InvoiceStatus::Open),
            InvoiceStatus::AfterPaid | InvoiceStatus::Unknown => {
                prop_assert_eq!(is.status, was.status);
            }
            InvoiceStatus::Open => {}
        }
        if was.status == InvoiceStatus::Paid || was.amount_paid.value().is_none() {
            let rose = minor(&was.balance).is_some_and(|before| minor(&is.balance) > Some(before));
            prop_assert!(!rose, "the balance of what was paid rose");
        }
        if was.total.value().is_none_or(|total| total.minor <= 0) {
            prop_assert_eq!(is, was, "an invoice over nothing was touched");
        }
        if let Field::Value(()) = was.paid_at {
            prop_assert_eq!(plan.invoice.and_then(|change| change.paid_at), None);
        }
    }

    #[test]
    fn no_row_is_deleted_and_a_booked_amount_only_follows_its_payment(world in worlds(), evidence in evidence()) {
        let after = world.apply(&world.reconcile(&evidence));
        prop_assert!(after.rows.len() >= world.rows.len());
        for (was, is) in world.rows.iter().zip(&after.rows) {
            prop_assert_eq!(&was.id, &is.id);
            // What Stripe says of this very payment goes before what the application heard.
            let ours_to_write = matches!(was.status, PaymentStatus::Pending | PaymentStatus::Failed);
            if !ours_to_write {
                prop_assert_eq!((&was.gratuity, &was.ids), (&is.gratuity, &is.ids));
            }
            if !ours_to_write && was.amount != is.amount {
                // More of the payment was captured than the row stated as known before.
                let known = world.memory.of(&was.ids).map_or(0, |known| known.received);
                let gratuity = was.gratuity.value().map(|it| it.minor);
                prop_assert_eq!(known, was.amount_minor() + gratuity.unwrap_or(known - was.amount_minor()));
                let came = merge_payments(&evidence).into_iter().find(|it| is_of(was, &it.ids, &world));
                let came = came.map(|payment| payment.state);
                let Some(PaymentState::Received(came)) = came else {
                    return Err(TestCaseError::fail("a row followed nothing"));
                };
                prop_assert_eq!(is.amount_minor() - was.amount_minor(), came.minor - known);
                prop_assert!(came.minor > known);
            }
            if was.ids.is_empty() || was.status == PaymentStatus::Other {
                prop_assert_eq!(was, is, "a row written by hand was changed");
            }
        }
    }

    #[test]
    fn a_payment_is_booked_once(world in worlds(), evidence in evidence()) {
        let after = world.apply(&world.reconcile(&evidence));
        for payment in merge_payments(&evidence) {
            let before = rows_of(&payment.ids, &world.rows).len();
            let now = rows_of(&payment.ids, &after.rows).len();
            prop_assert!(now <= before.max(1), "{:?}: {before} rows, then {now}", payment.ids);
        }
    }

    #[test]
    fn received_money_is_booked_or_reported(
        world in worlds(),
        evidence in evidence(),
    ) {
        let plan = world.reconcile(&evidence);
        let after = world.apply(&plan);
        for payment in merge_payments(&evidence) {
            let PaymentState::Received(Money { minor: 1.., .. }) = payment.state else {
                continue;
            };
            let booked = after.rows.iter().any(|row| row.was_received() && is_of(row, &payment.ids, &world));
            let reported = plan.issues.iter().any(|issue| {
                issue.object.as_deref().is_none_or(|object| payment.ids.contains(object))
            });
            // The payment is looked up again, because its session was not read.
            let asked_again = payment.lacks_session() && plan.unread.is_some();
            prop_assert!(booked || reported || asked_again, "{:?} went unnoticed: {plan:#?}", payment.ids);
        }
    }

    #[test]
    fn refunded_or_disputed_money_does_not_raise_the_invoice(
        world in worlds(),
        refunded in any::<bool>(),
        cents in 1_i64..=1_000_00,
    ) {
        let mut payment = received(&["pi_1"], cents);
        if refunded {
            payment.refunded = cents;
        } else {
            payment = payment.with_dispute("lost");
        }
        let bare = World { rows: Vec::new(), just_booked: false, ..world };
        let plan = bare.reconcile(&[Evidence::Payment(payment)]);
        prop_assert_eq!(plan.invoice, None);
    }

    #[test]
    fn two_payments_of_the_total_settle_the_invoice(cents in 1_i64..=i64::MAX, order in any::<bool>()) {
        let mut world = world(invoice("Sent").with_total(cents));
        let (first, second) = (cents / 2, cents - cents / 2);
        let mut evidence: Vec<_> = [("pi_1", first), ("pi_2", second)]
            .map(|(id, cents)| Evidence::Payment(received(&[id], cents)))
            .into();
        if order {
            evidence.reverse();
        }
        for said in evidence {
            world = world.apply(&world.reconcile(&[said]));
        }
        prop_assert_eq!(world.invoice.status, InvoiceStatus::Paid);
        prop_assert_eq!(world.invoice.amount_paid, Field::Value(eur(cents)));
        prop_assert_eq!(world.invoice.balance, Field::Value(eur(0)));
    }
}

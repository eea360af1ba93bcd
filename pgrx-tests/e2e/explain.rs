//! Explanations of an invoice: `explain`.

mod refused;
mod understood;

use stripe_double::{Action, Checkout, Fault, Refund};

use crate::harness::Shop;
use crate::harness::sale::Sale;

/// A line: part, what, value and why; null is empty.
type Line = [String; 4];

/// Returns the explanation for this call's arguments, and checks that it changed nothing at all, and that it asked Stripe
/// only if it was told to.
fn explain(shop: &mut Shop, arguments: &str) -> Vec<Line> {
    let before = shop.dump();
    shop.stripe.reset_requests();
    let rows = shop.rows(&format!(
        "select part, what, coalesce(value, ''), coalesce(why, '') from invoice_sync.explain({arguments})"
    ));
    assert_eq!(shop.dump(), before, "explain({arguments}) wrote something");
    if !arguments.ends_with("ask => true") {
        assert_eq!(shop.stripe.requests().len(), 0, "explain({arguments})");
    }
    let lines = rows
        .iter()
        .map(|row| [0, 1, 2, 3].map(|column| row.get(column)));
    lines.collect()
}

/// Explains from memory.
fn remembered(shop: &mut Shop, invoice: &str) -> Vec<Line> {
    explain(shop, &format!("'{invoice}'"))
}

/// Explains by what Stripe says now.
fn asked(shop: &mut Shop, invoice: &str) -> Vec<Line> {
    explain(shop, &format!("'{invoice}', ask => true"))
}

/// Returns `value | why` of the lines about this part whose `what` begins so.
fn about(lines: &[Line], part: &str, what: &str) -> Vec<String> {
    let matching = lines.iter().filter(|[its_part, its_what, ..]| {
        its_part.starts_with(part) && its_what.starts_with(what)
    });
    matching
        .map(|[_, _, value, why]| format!("{value} | {why}"))
        .collect()
}

/// Returns the values of the decision's lines whose `what` begins so.
fn values(lines: &[Line], what: &str) -> Vec<String> {
    let matching = lines
        .iter()
        .filter(|[part, its_what, ..]| part == "decision" && its_what.starts_with(what));
    matching.map(|[_, _, value, _]| value.clone()).collect()
}

/// Returns the only element, which contains all of `texts`.
fn only(found: &[String], texts: &[&str]) -> String {
    let [only] = found else {
        panic!("one line was expected: {found:?}");
    };
    for text in texts {
        assert!(only.contains(text), "{text} is missing: {only}");
    }
    only.clone()
}

#[test]
fn a_lost_payment_is_found_only_if_stripe_is_asked() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");

    let lines = remembered(&mut shop, &sale.invoice);
    let nothing = " | no earlier run learned that Stripe received money by it";
    assert_eq!(about(&lines, "Stripe", &sale.session), [nothing]);
    assert_eq!(values(&lines, "would be done"), ["nothing"]);
    let why = about(&lines, "decision", "would be done");
    only(&why, &["Stripe was not asked (ask => true asks it)"]);
    let next = about(&lines, "decision", "next request");
    only(
        &next,
        &["the next sweep | Stripe has not been asked about this invoice yet"],
    );

    let lines = asked(&mut shop, &sale.invoice);
    assert!(!shop.stripe.requests().is_empty(), "Stripe was asked");
    let said = about(&lines, "Stripe", &sale.intent);
    only(
        &said,
        &[
            "received 100.00 USD | asked now (request req_",
            &sale.session,
        ],
    );
    assert_eq!(
        values(&lines, "would be done"),
        [
            &format!("payment {} of 100.00 USD recorded", sale.intent),
            "invoice set to paid",
            "amount paid set to 100.00 USD",
            "balance set to 0.00 USD",
            "date of payment set",
        ]
    );
    // A dry run of the button says the same.
    let dry = shop.json(&format!(
        "invoice_sync.sync_invoice('{}', true)",
        sale.invoice
    ));
    let action = dry["details"]["fixed"][0]["action"]
        .as_str()
        .expect("it would repair");
    assert_eq!(values(&lines, "would be done").join("; "), action);
}

#[test]
fn a_booked_payment_is_explained_from_memory() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    for lines in [
        remembered(&mut shop, &sale.invoice),
        asked(&mut shop, &sale.invoice),
    ] {
        assert_eq!(values(&lines, "would be done"), ["nothing"]);
        assert_eq!(values(&lines, "new issue"), [""; 0]);
        let row = about(&lines, "payment row", "status");
        only(
            &row,
            &[
                "Paid: paid | column \"payment_status\" of public.payments, setting payment_status_column (default); setting payment_paid_word (default) contains the word; the row counts",
            ],
        );
        only(
            &about(&lines, "payment row", "payment intent"),
            &[&sale.intent, "setting payment_intent_column (default)"],
        );
        only(
            &about(&lines, "decision", "next request"),
            &["none | Stripe was last asked at "],
        );
    }
    let lines = remembered(&mut shop, &sale.invoice);
    let as_of = shop
        .text("select date_trunc('second', as_of) from invoice_sync.stripe_payment")
        .expect("it is stored");
    let said = about(&lines, "Stripe", &sale.intent);
    only(
        &said,
        &[
            &format!("received 100.00 USD | from memory, as of {as_of}"),
            &sale.session,
        ],
    );
}

#[test]
fn a_refund_is_explained_with_its_issue_and_later_with_the_decision() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.sweep();
    shop.stripe.refund(&sale.intent, Refund::of(1_000));

    let lines = asked(&mut shop, &sale.invoice);
    only(
        &about(&lines, "Stripe", &sale.intent),
        &["received 100.00 USD, refunded 10.00 USD | asked now"],
    );
    assert_eq!(values(&lines, "new issue partially_refunded"), ["warning"]);
    let lines = remembered(&mut shop, &sale.invoice);
    assert_eq!(values(&lines, "new issue"), [""; 0], "nobody has asked yet");

    shop.sync(&sale.invoice);
    let lines = remembered(&mut shop, &sale.invoice);
    only(
        &about(&lines, "Stripe", &sale.intent),
        &["received 100.00 USD, refunded 10.00 USD | from memory, as of "],
    );
    assert_eq!(values(&lines, "new issue"), [""; 0]);
    let open = about(&lines, "decision", "open issue partially_refunded");
    only(
        &open,
        &[
            "warning, issue 1, since ",
            "Stripe refunded 10.00 USD of the 100.00 USD",
        ],
    );

    shop.execute("select invoice_sync.resolve_issue(1, 'ignore', 'a gift')");
    for lines in [
        remembered(&mut shop, &sale.invoice),
        asked(&mut shop, &sale.invoice),
    ] {
        assert_eq!(values(&lines, "open issue"), [""; 0]);
        assert_eq!(values(&lines, "new issue"), [""; 0]);
        let decided = about(&lines, "decision", "decided partially_refunded");
        only(
            &decided,
            &["ignore by postgres at ", "issue 1", "Note: a gift"],
        );
    }
}

#[test]
fn a_repair_that_was_undone_is_held_back_and_it_says_by_whom() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let run = shop.sweep()["runId"].clone();
    shop.make_roles(&["bookkeeper"]);
    shop.execute(&format!(
        "select invoice_sync.grant_access('bookkeeper');
        set role bookkeeper;
        select invoice_sync.undo({run});
        reset role"
    ));

    for lines in [
        remembered(&mut shop, &sale.invoice),
        asked(&mut shop, &sale.invoice),
    ] {
        assert_eq!(values(&lines, "would be done"), ["nothing"]);
        let held = about(&lines, "decision", "held back");
        only(
            &held,
            &[
                "undone by bookkeeper at ",
                "issue 1 | A repair of invoice INV-1 was undone, and is not made again until a person decides (repair_again or keep_as_is).",
            ],
        );
        assert_eq!(values(&lines, "new issue"), [""; 0]);
    }
    let lines = asked(&mut shop, &sale.invoice);
    let held = about(&lines, "decision", "held back");
    only(
        &held,
        &[&format!(
            "The repair would make these changes: payment {} of 100.00 USD recorded",
            sale.intent
        )],
    );
}

#[test]
fn a_payment_that_may_have_been_recorded_by_hand_is_not_booked() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute(
        "insert into payments (invoice_id, payment_name, payment_status, total_amount)
        select id, 'by hand', 'Paid', 100 from invoices",
    );

    let lines = asked(&mut shop, &sale.invoice);

    only(
        &about(&lines, "payment row", "Stripe ids"),
        &["none | ", "recorded by hand"],
    );
    let issue = about(&lines, "decision", "new issue possible_duplicate");
    only(
        &issue,
        &["Decide whether they are the same payment (link_row) or two payments (book_anyway)."],
    );
    let booked = values(&lines, "would be done");
    assert!(
        !booked.iter().any(|change| change.contains("recorded")),
        "{booked:?}"
    );
}

#[test]
fn what_the_tables_refuse_is_explained_from_the_stored_answer() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute("alter table payments add constraint small check (total_amount < 50)");
    shop.sweep();

    let lines = remembered(&mut shop, &sale.invoice);

    let said = about(&lines, "Stripe", &sale.intent);
    only(
        &said,
        &["received 100.00 USD | an earlier answer, which your tables refused to take"],
    );
    let planned = values(&lines, "would be done");
    assert_eq!(
        planned[0],
        format!("payment {} of 100.00 USD recorded", sale.intent)
    );
    only(
        &about(&lines, "decision", "open issue apply_failed"),
        &["violates check constraint"],
    );
    shop.execute("alter table payments drop constraint small");
}

#[test]
fn an_unpaid_session_is_a_reason_and_not_an_issue() {
    let mut shop = Shop::open();
    let session = shop
        .stripe
        .checkout(Checkout::new(10_000, "usd"))
        .session_id();
    shop.execute(&format!(
        "insert into invoices (invoice_number, customer, invoice_status, total_amount, stripe_session_id)
        values ('INV-1', 'Customer', 'Sent', 100, '{session}')"
    ));
    let invoice = shop.text("select id from invoices").expect("it is there");

    let lines = asked(&mut shop, &invoice);

    assert_eq!(values(&lines, "would be done"), ["nothing"]);
    let reason = about(&lines, "decision", "not done");
    only(&reason, &[&format!(" | {session}: not paid yet (")]);
    only(&about(&lines, "Stripe", &session), &["not paid yet ("]);
    // It is asked again by and by.
    shop.sync(&invoice);
    let next =
        shop.text("select date_trunc('second', next_check_at) from invoice_sync.invoice_check");
    let lines = remembered(&mut shop, &invoice);
    assert_eq!(
        values(&lines, "next request"),
        [next.expect("it is asked again")]
    );
    shop.stripe.purchase(session).expire();
}

#[test]
fn an_event_that_waits_says_for_what_and_how_long() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let event = |id: &str, columns: &str, values: &str| {
        format!(
            "insert into invoice_sync.event (id, type, created, livemode, intent_id, session_id, snapshot, received_at,
                {columns})
            values ('{id}', 'checkout.session.completed', now(), false, '{}', '{}', '{{}}', now(), {values})",
            sale.intent, sale.session
        )
    };
    shop.execute(&event(
        "evt_waits",
        "state, attempts, next_attempt_at, result",
        "'pending', 3, '2999-01-01', 'the invoice is locked'",
    ));
    shop.execute(&event(
        "evt_foreign",
        "state, account",
        "'ignored', 'acct_other'",
    ));
    let live = event("evt_live", "state", "'ignored'").replace("now(), false", "now(), true");
    shop.execute(&live);

    let lines = remembered(&mut shop, &sale.invoice);

    let waits = about(
        &lines,
        "decision",
        "event evt_waits (checkout.session.completed)",
    );
    only(
        &waits,
        &["3 attempts, next: 2999-01-01 00:00:00+00 | the invoice is locked"],
    );
    let foreign = about(&lines, "decision", "event evt_foreign");
    only(
        &foreign,
        &[
            "ignored | it is of the connected account acct_other, which neither the setting invoice_sync.stripe_account nor the table of that name contains",
        ],
    );
    let live = about(&lines, "decision", "event evt_live");
    only(
        &live,
        &["ignored | it is of the other mode (test or live) than the API key"],
    );
}

#[test]
fn that_no_sweep_asks_stripe_is_a_reason_too() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    let lines = remembered(&mut shop, &sale.invoice);
    only(
        &about(&lines, "decision", "last sweep"),
        &["none yet | only sweeps find payments whose webhook was lost"],
    );

    shop.stripe.fault(Fault::new(Action::Reset).always());
    shop.sweep();
    let lines = remembered(&mut shop, &sale.invoice);
    only(
        &about(&lines, "decision", "last sweep"),
        &[" | it was not complete: Stripe cannot be reached"],
    );
    only(
        &about(&lines, "decision", "open issue stripe_unreachable"),
        &["critical, issue 1, since "],
    );

    shop.stripe.clear_faults();
    shop.sweep();
    let lines = remembered(&mut shop, &sale.invoice);
    only(
        &about(&lines, "decision", "last sweep"),
        &[" | it was complete"],
    );
    assert_eq!(values(&lines, "open issue"), [""; 0]);
}

#[test]
fn what_a_trigger_overrode_is_not_announced_again() {
    let mut shop = Shop::open();
    let sale = Sale::unbooked(&mut shop, "INV-1");
    shop.execute(
        "create function keeps() returns trigger language plpgsql as $$
        begin new.invoice_status := old.invoice_status; return new; end $$;
        create trigger keeps before update on invoices for each row execute function keeps()",
    );
    shop.sweep();
    for lines in [
        remembered(&mut shop, &sale.invoice),
        asked(&mut shop, &sale.invoice),
    ] {
        assert_eq!(values(&lines, "would be done"), ["nothing"]);
        let issue = about(&lines, "decision", "open issue overridden_by_trigger");
        only(
            &issue,
            &["Not applied: invoice set to paid", "(repair_again)"],
        );
    }
}

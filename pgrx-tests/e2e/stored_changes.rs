//! Changes are stored in short: what they have in common once.

use serde_json::Value;

use crate::harness::Shop;
use crate::harness::sale::Sale;

const FORMS: &str = "select count(*) from invoice_sync.change_form";

#[test]
fn many_repairs_of_a_kind_share_their_forms() {
    let mut shop = Shop::open();
    Sale::many(&mut shop, 30);
    shop.sweep();

    assert_eq!(
        shop.text(FORMS).as_deref(),
        Some("1"),
        "of payment and invoice together"
    );
    let stored = "select max(length(content)) <= 280 from invoice_sync.change";
    assert_eq!(shop.text(stored).as_deref(), Some("true"));
    let shown = "select count(*) from invoice_sync.changes c
        where c.evidence #>> '{stripe,0,session}' = (
            select stripe_session_id from invoices i where i.id::text = c.invoice_id)";
    assert_eq!(
        shop.text(shown).as_deref(),
        Some("60"),
        "each with its evidence"
    );
}

#[test]
fn words_that_are_always_others_do_not_make_a_form_each() {
    let mut shop = Shop::open();
    shop.execute(
        "alter table payments add extra jsonb;
        create function name_it() returns trigger language plpgsql as $$
        begin
            new.payment_name := translate(md5(new.id::text), '0123456789', 'ghijklmnop') || e' \"\\\\\\n';
            new.extra := jsonb_build_object(new.payment_name, array[1, 2], 'b', '}');
            return new;
        end $$;
        create trigger name_it before insert on payments for each row execute function name_it()",
    );
    Sale::many(&mut shop, 130);
    shop.sweep();

    let forms: i64 = shop.rows(FORMS)[0].get(0);
    assert!((100..=105).contains(&forms), "{forms}");
    let rows = shop.rows(
        "select to_jsonb(p), c.after, to_jsonb(i) ->> 'invoice_status', c.evidence #>> '{stripe,0,session}', p.stripe_session_id
        from invoice_sync.changes c
        join payments p on p.id::text = c.row_id
        join invoices i on i.id::text = c.invoice_id",
    );
    assert_eq!(rows.len(), 130);
    for row in rows {
        let (payment, after): (Value, Value) = (row.get(0), row.get(1));
        assert_eq!(payment, after);
        assert_eq!(row.get::<_, Option<String>>(2).as_deref(), Some("Paid"));
        assert_eq!(row.get::<_, String>(3), row.get::<_, String>(4));
    }
    let undone = shop.json("invoice_sync.undo((select max(run_id) from invoice_sync.changes))");
    assert_eq!(undone["undone"], 130, "{}", undone["left"]);
    shop.not_at_rest("what was undone waits for a person");
}

//! What the server hides from RPC callers and operators, `doctor()` hides as well.

use crate::harness::Shop;
use crate::harness::server::{Server, attempt};

#[test]
fn doctor_shows_no_path_that_show_denies() {
    let mut shop = Shop::with_webhooks();
    let operator = format!("operator_of_{}", shop.name());
    shop.execute(&format!(
        "create role {operator} login; select invoice_sync.grant_access('{operator}')"
    ));
    let all = "select concat_ws(' ', name, detail, hint) from invoice_sync.doctor() d (name, ok, detail, hint)";
    let data = Server::main().data.display().to_string();
    let reported = |rows: Vec<postgres::Row>| -> String {
        rows.iter()
            .map(|row| row.get::<_, String>(0))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(
        reported(shop.rows(all)).contains(&data),
        "a superuser sees where the key is"
    );

    let mut session = shop.connect_as(&operator);
    for claims in ["", "{\"role\": \"service_role\"}"] {
        attempt(
            &mut session,
            &format!("set request.jwt.claims = '{claims}'"),
        )
        .expect("anybody may");
        let seen = reported(session.query(all, &[]).expect("an operator may"));
        assert!(
            seen.contains("<file of invoice_sync.stripe_api_key>"),
            "{seen}"
        );
        assert!(!seen.contains(&data), "{seen}");
    }
    drop(session);
    shop.execute(&format!("drop owned by {operator}; drop role {operator}"));
}

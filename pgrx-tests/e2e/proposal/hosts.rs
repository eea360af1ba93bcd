//! The tables of real applications, restated from their public schemas: what is proposed for them as they are.

use crate::harness::{Shop, tell};

macro_rules! hosts {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("hosts/", $name, ".sql")))),*]
    };
}

const HOSTS: [(&str, &str); 12] = hosts![
    "booking_app_api",
    "calcom",
    "flexile",
    "florist_shop",
    "get_a_motel",
    "hifi_registration",
    "lamp_shop",
    "m10dj",
    "miru",
    "saskij_invoices",
    "scalexotics",
    "solidus",
];

/// What is to be proposed, as [`outcome`] writes it, by application.
const EXPECTED: &str = include_str!("hosts/expected.txt");

/// What adopting the proposal leads to: whether it is understood, or what is asked, and what is proposed.
fn outcome(tables: &str) -> String {
    let mut shop = Shop::with_tables(tables);
    let adopted = shop.db.batch_execute("select invoice_sync.adopt_mapping()");
    let asked = adopted.err().map(|error| {
        error.as_db_error().map_or_else(
            || tell(&error),
            |db| format!("{}. {}", db.message(), db.detail().unwrap_or_default()),
        )
    });
    if asked.is_some() {
        shop.not_at_rest("its settings name tables that there are not");
    }
    let proposed = shop.db.query(
        "select format('%s = %s', setting, proposed) from invoice_sync.propose_mapping()
        where proposed is not null or setting like '%.%'",
        &[],
    );
    let proposed = proposed.unwrap_or_default();
    let proposed: Vec<String> = proposed.iter().map(|row| row.get(0)).collect();
    let outcome = asked.unwrap_or_else(|| "understood".to_owned());
    [vec![outcome], proposed].concat().join("\n    ")
}

#[test]
fn what_is_proposed_for_real_applications() {
    let found: Vec<String> = HOSTS
        .iter()
        .map(|(name, tables)| format!("{name}: {}\n", outcome(tables)))
        .collect();
    let found = found.join("\n");
    println!("{found}");
    assert!(found == EXPECTED, "it is not what is expected:\n{found}");
}

#[test]
fn nothing_in_the_code_knows_an_application_by_its_name() {
    let names = ["spree", "calcom", "cal.com", "hifi"];
    let own = HOSTS.map(|(name, _)| name);
    let mut rooms = vec![std::path::PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src"
    ))];
    let mut files = 0;
    while let Some(room) = rooms.pop() {
        for entry in std::fs::read_dir(room).expect("it is a directory") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                rooms.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path)
                .expect("it is text")
                .to_lowercase();
            let known = names.iter().chain(&own).find(|name| text.contains(*name));
            assert_eq!(known, None, "{}", path.display());
            files += 1;
        }
    }
    assert!(files > 100, "{files}");
}

//! Answers from lists equal those of single requests, with fewer requests.

use stripe_double::{Action, Fault};

use super::{last_run, mixed_invoices, run, twin_of, useless_lists};
use crate::harness::books::{books, differences};
use crate::harness::dice::Dice;
use crate::harness::{DEFAULT_TABLES, Shop};

fn useless_lists_of_intents() -> Fault {
    Fault::new(Action::InvalidJson)
        .always()
        .on_object("data.latest_charge.balance_transaction")
}

#[test]
fn with_lists_and_without_the_books_end_the_same() {
    let mut dice = Dice::new();
    for count in [14, 60, 250] {
        let mut shop = Shop::open();
        let sorts: Vec<usize> = (0..count)
            .map(|number| {
                if number < mixed_invoices::SORTS {
                    number
                } else {
                    dice.below(mixed_invoices::SORTS)
                }
            })
            .collect();
        mixed_invoices::fill(&shop.stripe, &mut shop.db, sorts.into_iter());
        let mut twin = twin_of(&mut shop, DEFAULT_TABLES);
        shop.skip_look_back();
        twin.skip_look_back();

        run(&mut shop.db);
        shop.stripe.fault(useless_lists());
        shop.stripe.fault(useless_lists_of_intents());
        run(&mut twin.db);

        let differences = differences(&books(&mut shop.db), &books(&mut twin.db));
        assert!(
            differences.is_empty(),
            "seed {}, {count} invoices: {differences:#?}",
            dice.seed
        );
        let from_lists = |shop: &mut Shop| last_run(shop)["objects_from_lists"].as_u64();
        assert!(from_lists(&mut shop) > Some(0), "{count}: lists were used");
        assert_eq!(
            from_lists(&mut twin),
            Some(0),
            "{count}: lists were useless"
        );
        assert_eq!(last_run(&mut twin)["success"], true);
    }
}

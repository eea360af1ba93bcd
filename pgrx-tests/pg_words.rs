//! Test of status words inside a running server: SQL and Rust understand the same spellings.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::domain::words::{invoice, is_among, payment};
    use crate::host::word_sql::has_word;

    const MEANINGS: [&[&str]; 12] = [
        invoice::PAID,
        invoice::PARTIAL,
        invoice::OPEN,
        invoice::REFUNDED,
        invoice::AFTER_PAID,
        invoice::CLOSED,
        payment::PAID,
        payment::PENDING,
        payment::FAILED,
        payment::REFUNDED,
        payment::PARTLY_REFUNDED,
        payment::DISPUTED,
    ];

    /// Spellings of a word that people use, and words that are none.
    fn spellings(word: &str) -> Vec<String> {
        let capital = |part: &str| {
            let (first, rest) = part.split_at(1);
            first.to_uppercase() + rest
        };
        let joined = |by: &str| word.replace('_', by);
        let camel: String = word.split('_').map(capital).collect();
        vec![
            word.to_owned(),
            word.to_uppercase(),
            capital(word),
            joined(" "),
            joined("-"),
            joined(""),
            camel,
            format!(" {word}.\n"),
            word.replace('l', "ll"),
            word.replace("ll", "l"),
            format!("{word}é"),
            format!("Ä{word}"),
            format!("un{word}"),
            format!("{word}2"),
        ]
    }

    #[pg_test]
    fn sql_and_rust_understand_the_same_spellings_of_every_usual_word() {
        let mut words: Vec<String> = MEANINGS
            .iter()
            .flat_map(|words| words.iter().flat_map(|word| spellings(word)))
            .collect();
        words.extend(["", " ", "¿?", "已付款", "überfällig"].map(str::to_owned));
        words.sort();
        words.dedup();
        for usual in MEANINGS {
            let found = Spi::get_one_with_args::<Vec<String>>(
                &format!(
                    "select coalesce(array_agg(w order by w collate \"C\"), '{{}}')
                    from unnest($1::text[]) w where {}",
                    has_word("w", &[], &[], usual)
                ),
                &[words.clone().into()],
            );
            let wanted: Vec<&String> = words.iter().filter(|it| is_among(usual, it)).collect();
            let found = found.expect("the condition is valid").unwrap_or_default();
            assert_eq!(found.iter().collect::<Vec<_>>(), wanted);
            assert!(wanted.len() >= 4 * usual.len(), "{wanted:?}");
        }
    }

    #[pg_test]
    fn a_word_that_a_setting_names_has_no_usual_meaning() {
        let all = ["Done".to_owned(), "paid".to_owned()];
        let condition = has_word("w", &all[..1], &all, payment::PAID);
        let found = Spi::get_one::<Vec<String>>(&format!(
            "select array_agg(w) from unnest(array['Done', 'done', 'paid', 'Paid', 'PAID']) w where {condition}"
        ));
        let found = found.expect("the condition is valid").unwrap_or_default();
        assert_eq!(found, ["Done", "Paid", "PAID"]);
    }
}

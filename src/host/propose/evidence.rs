//! What the words without a usual meaning, and the rows that have them, say of the word for paid.

use crate::domain::words::squash;
use crate::host::propose::history::History;

pub(super) const INVOICE_PAID: &str = "invoice_paid_word";

pub(super) struct Evidence<'a> {
    pub(super) history: &'a History,
    /// The words of the column that have no usual meaning, and that no setting contains.
    pub(super) unknown: Vec<String>,
}

impl Evidence<'_> {
    /// Returns the only word without a usual meaning that invoices have whose payments come to their total, if it speaks
    /// of money that came, and no invoice with one of the words `found` is paid.
    pub(super) fn rival_of_paid(&self, setting: &str, found: &[&str]) -> Option<&str> {
        let mut paid = self.history.paid_statuses();
        if setting != INVOICE_PAID || paid.any(|status| found.contains(&status)) {
            return None;
        }
        let mut telling = self.paid().filter(|word| tells_of_money(word));
        match (telling.next(), telling.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }

    /// Returns what is asked where no word is known to mean paid.
    pub(super) fn question(&self, setting: &str) -> String {
        let all = self.unknown.join(", ");
        let paid: Vec<&str> = self.paid().collect();
        if setting != INVOICE_PAID || paid.is_empty() {
            return format!("{all} may mean it: set the one that does");
        }
        format!(
            "{all} may mean it: set the one that does (payments come to the total of invoices with {})",
            paid.join(", ")
        )
    }

    fn paid(&self) -> impl Iterator<Item = &str> {
        let unknown = self.unknown.iter().map(String::as_str);
        unknown.filter(|word| self.history.paid_statuses().any(|paid| paid == *word))
    }
}

/// Returns whether a status says that money came: stripe_captured, payment ok.
fn tells_of_money(word: &str) -> bool {
    const COMES: [&str; 5] = ["paid", "payment", "captured", "settled", "charged"];
    const DOES_NOT: [&str; 14] = [
        "unpaid", "notpaid", "await", "pending", "fail", "partial", "part", "refund", "due",
        "require", "offline", "no", "not", "un",
    ];
    let word = squash(word);
    let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
    has(&COMES) && !has(&DOES_NOT)
}

#[cfg(test)]
mod tests {
    use crate::host::propose::evidence::tells_of_money;

    #[test]
    fn words_of_money_that_came_are_told_from_others() {
        for word in ["stripe_captured", "PaymentSettled", "PAYMENT_OK", "prepaid"] {
            assert!(tells_of_money(word), "{word}");
        }
        for word in [
            "p",
            "processing",
            "UNPAID",
            "AWAITING_OFFLINE_PAYMENT",
            "NO_PAYMENT_REQUIRED",
            "payment-failed",
        ] {
            assert!(!tells_of_money(word), "{word}");
        }
    }
}

//! Usual words for the status of an invoice or a payment, by their meaning.

/// The meaning of a status word of invoices that needs no setting: each is spelled with underscores, and compared by
/// [`is_among`].
pub(crate) mod invoice {
    /// Written only if a setting names it; otherwise it means that nothing more has to be done.
    pub(crate) const PAID: &[&str] = &[
        "paid",
        "paid_in_full",
        "fully_paid",
        "succeeded",
        "completed",
        "complete",
        "settled",
        "true",
        "payment_received",
        "payment_completed",
        "payment_complete",
        "payment_succeeded",
        "payment_successful",
        "payment_settled",
        "payment_captured",
        "payment_confirmed",
        "captured",
    ];

    pub(crate) const PARTIAL: &[&str] = &[
        "partial",
        "partially_paid",
        "partial_paid",
        "partly_paid",
        "part_paid",
        "partial_payment",
        "deposit_paid",
    ];

    pub(crate) const OPEN: &[&str] = &[
        "draft",
        "sent",
        "open",
        "unpaid",
        "not_paid",
        "overdue",
        "past_due",
        "due",
        "late",
        "pending",
        "pending_payment",
        "payment_pending",
        "payment_due",
        "payment_required",
        "payment_failed",
        "failed",
        "awaiting_payment",
        "awaiting_money",
        "waiting_for_payment",
        "awaiting",
        "outstanding",
        "balance_due",
        "unsettled",
        "payable",
        "issued",
        "finalized",
        "authorised",
        "authorized",
        "approved",
        "submitted",
        "viewed",
        "seen",
        "new",
        "created",
        "invoiced",
        "billed",
        "scheduled",
        "reminded",
        "reminder_sent",
        "delinquent",
        "false",
    ];

    /// The money went back, or is claimed back.
    pub(crate) const REFUNDED: &[&str] = &[
        "refunded",
        "fully_refunded",
        "partially_refunded",
        "partly_refunded",
        "partial_refund",
        "refund",
        "refund_pending",
        "refunding",
        "credited",
        "credit",
        "credit_note",
        "charged_back",
        "chargeback",
        "disputed",
        "in_dispute",
        "dispute",
        "returned",
        "reversed",
    ];

    /// What comes after the payment.
    pub(crate) const AFTER_PAID: &[&str] = &[
        "shipped",
        "partially_shipped",
        "delivered",
        "partially_delivered",
        "fulfilled",
        "partially_fulfilled",
        "dispatched",
        "in_transit",
        "out_for_delivery",
        "ready_to_ship",
        "ready_for_pickup",
        "awaiting_shipment",
        "awaiting_fulfillment",
        "awaiting_pickup",
        "picked_up",
        "reconciled",
        "credit_owed",
    ];

    pub(crate) const CLOSED: &[&str] = &[
        "cancelled",
        "void",
        "voided",
        "uncollectible",
        "written_off",
        "write_off",
        "bad_debt",
        "deleted",
        "rejected",
        "declined",
        "waived",
    ];
}

/// The same for payments.
pub(crate) mod payment {
    pub(crate) const PAID: &[&str] = &[
        "paid",
        "succeeded",
        "completed",
        "complete",
        "settled",
        "success",
        "successful",
        "received",
        "captured",
        "true",
        "payment_received",
        "fully_charged",
    ];

    pub(crate) const PENDING: &[&str] = &[
        "pending",
        "not_charged",
        "overdue",
        "processing",
        "in_progress",
        "awaiting_payment",
        "awaiting",
        "unpaid",
        "scheduled",
        "due",
        "expected",
        "initial",
        "initiated",
        "created",
        "open",
        "new",
        "checkout",
        "requires_confirmation",
        "requires_action",
        "requires_capture",
        "authorized",
        "authorised",
        "submitted",
        "false",
    ];

    /// An attempt that took no money. Words that a person may have written about money that came (void, cancelled)
    /// are not among them.
    pub(crate) const FAILED: &[&str] = &[
        "failed",
        "payment_failed",
        "failure",
        "declined",
        "rejected",
        "unsuccessful",
        "error",
        "expired",
        "requires_payment_method",
    ];

    pub(crate) const REFUNDED: &[&str] = &["refunded", "fully_refunded", "refund", "returned"];

    pub(crate) const PARTLY_REFUNDED: &[&str] = &[
        "partially_refunded",
        "partly_refunded",
        "partial_refunded",
        "part_refunded",
        "partial_refund",
        "partially_refund",
    ];

    /// The payment was received, and the invoice is due for more. Where payments may wait, it may as well be a payment
    /// of which a part was received.
    pub(crate) const IN_PART: &[&str] = &[
        "partially_paid",
        "partly_paid",
        "part_paid",
        "partial_payment",
        "part_payment",
    ];

    pub(crate) const DISPUTED: &[&str] = &[
        "disputed",
        "in_dispute",
        "dispute",
        "charged_back",
        "chargeback",
    ];
}

/// Returns whether two texts are spellings of one word: they may differ in case, in separators, and in a single or
/// double l (canceled, cancelled).
pub(crate) fn same_word(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

/// Returns whether the word is a spelling of one of these.
pub(crate) fn is_among(usual: &[&str], word: &str) -> bool {
    let word = plain(word);
    usual.iter().any(|usual| plain(usual) == word)
}

/// Returns a word without differences in spelling.
pub(crate) fn plain(word: &str) -> String {
    squash(word).replace("ll", "l")
}

/// Returns a name without differences in spelling: `Total Amount`, `totalAmount` and `total_amount` become the
/// same.
pub(crate) fn squash(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

//! The actions that a kind of issue allows.

use crate::domain::issue::IssueKind;

/// A person's possible decisions about an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    RevertToUnpaid,
    SetStatus,
    FollowPayments,
    MarkRefunded,
    AcceptPaidElsewhere,
    AcceptAmount,
    LinkRow,
    BookAnyway,
    LinkPayment,
    RepairAgain,
    KeepAsIs,
    Ignore,
}

/// An argument of `resolve_issue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    pub(crate) name: &'static str,
    /// If false, the argument may be omitted.
    pub(crate) is_required: bool,
}

impl Action {
    /// Returns the word in SQL.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RevertToUnpaid => "revert_to_unpaid",
            Self::SetStatus => "set_status",
            Self::FollowPayments => "follow_payments",
            Self::MarkRefunded => "mark_refunded",
            Self::AcceptPaidElsewhere => "accept_paid_elsewhere",
            Self::AcceptAmount => "accept_amount",
            Self::LinkRow => "link_row",
            Self::BookAnyway => "book_anyway",
            Self::LinkPayment => "link_payment",
            Self::RepairAgain => "repair_again",
            Self::KeepAsIs => "keep_as_is",
            Self::Ignore => "ignore",
        }
    }

    /// Returns a sentence for people.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::RevertToUnpaid => {
                "The invoice was not paid. Sets the amount paid to 0, the balance to the total, and the status to the given one."
            }
            Self::SetStatus => "Only the status is wrong. Sets the status to the given one.",
            Self::FollowPayments => {
                "The payments are correct. Sets the amounts of the invoice by their sum, and the status to the given one or, if it is partially paid, to the status for that."
            }
            Self::MarkRefunded => {
                "The money was returned to the customer. It no longer counts for the invoice; sets the status to the given one or, if it is still partially paid, to the status for that."
            }
            Self::AcceptPaidElsewhere => {
                "The invoice was paid outside Stripe. Changes nothing, and the issue is not reported again."
            }
            Self::AcceptAmount => {
                "The amounts are correct. Changes nothing, and the issue is not reported again."
            }
            Self::LinkRow => {
                "The recorded payment is this Stripe payment. Writes Stripe's id into its row."
            }
            Self::BookAnyway => "They are two payments. Records the Stripe payment as well.",
            Self::LinkPayment => "The payment belongs to the given invoice. Records it there.",
            Self::RepairAgain => "Makes the repair now.",
            Self::KeepAsIs => {
                "The rows are correct as they are. The repair is not made, and the issue is not reported again."
            }
            Self::Ignore => {
                "Nothing needs to be done. The issue is not reported again while its facts are unchanged."
            }
        }
    }

    /// Returns the argument that it takes, if any.
    pub(crate) fn argument(self) -> Option<Argument> {
        let argument = |name, is_required| Some(Argument { name, is_required });
        match self {
            Self::RevertToUnpaid | Self::SetStatus => argument("status", true),
            Self::FollowPayments | Self::MarkRefunded => argument("status", false),
            Self::LinkPayment => argument("invoice_id", true),
            Self::AcceptPaidElsewhere
            | Self::AcceptAmount
            | Self::LinkRow
            | Self::BookAnyway
            | Self::RepairAgain
            | Self::KeepAsIs
            | Self::Ignore => None,
        }
    }

    /// Returns whether the action settles the issue and does nothing else.
    pub(crate) fn only_settles(self) -> bool {
        matches!(
            self,
            Self::AcceptPaidElsewhere | Self::AcceptAmount | Self::KeepAsIs | Self::Ignore
        )
    }

    /// Returns whether the facts that remain after the action are settled, too: what Stripe says does not change
    /// when it is written to the tables.
    pub(crate) fn settles_remaining_facts(self) -> bool {
        self.only_settles() || matches!(self, Self::MarkRefunded | Self::LinkPayment)
    }
}

/// Returns the actions for a kind of issue. Kinds that are resolved once Stripe answers again have none; these
/// issues can be acknowledged and snoozed.
pub(crate) fn actions_of(kind: IssueKind) -> &'static [Action] {
    use Action::*;
    match kind {
        IssueKind::PaidWithoutPayment => &[AcceptPaidElsewhere, RevertToUnpaid, SetStatus],
        IssueKind::AmountMismatch => &[AcceptAmount, FollowPayments, SetStatus],
        IssueKind::Overpaid => &[AcceptAmount],
        IssueKind::PossibleDuplicate => &[LinkRow, BookAnyway, Ignore],
        IssueKind::Refunded | IssueKind::PartiallyRefunded | IssueKind::Disputed => {
            &[MarkRefunded, Ignore]
        }
        IssueKind::UnlinkedPayment => &[LinkPayment, Ignore],
        IssueKind::ApplyFailed => &[RepairAgain, Ignore],
        IssueKind::OverriddenByTrigger => &[RepairAgain, SetStatus, KeepAsIs],
        IssueKind::RepairUndone => &[RepairAgain, KeepAsIs],
        IssueKind::CurrencyMismatch
        | IssueKind::DuplicatePayment
        | IssueKind::StripeObjectMissing
        | IssueKind::LivemodeMismatch
        | IssueKind::UnknownStatus
        | IssueKind::WebhooksFailing
        | IssueKind::EventFailing => &[Ignore],
        IssueKind::StripeUnreachable | IssueKind::Misconfigured => &[],
    }
}

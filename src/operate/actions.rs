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
                "It was not paid: nothing paid, all of the total due, and the status that you name."
            }
            Self::SetStatus => "Only the status is wrong: it becomes the one that you name.",
            Self::FollowPayments => {
                "The payments are right: the invoice's amounts become what they come to, and its status the one that you name or, where a part is paid, your word for that."
            }
            Self::MarkRefunded => {
                "The money is gone: it no longer counts for the invoice, whose status becomes the one that you name or, where a part is left, your word for that."
            }
            Self::AcceptPaidElsewhere => {
                "It was paid outside Stripe: nothing is changed, and you are not alerted about it again."
            }
            Self::AcceptAmount => {
                "The amounts are right as they are: nothing is changed, and you are not alerted about them again."
            }
            Self::LinkRow => {
                "The payment recorded by hand is this one: Stripe's id is written into its row."
            }
            Self::BookAnyway => "They are two payments: Stripe's is recorded as well.",
            Self::LinkPayment => {
                "The payment is for the invoice that you name: it is recorded there."
            }
            Self::RepairAgain => "Try the repair again, now.",
            Self::KeepAsIs => {
                "Leave it as it is: this repair is not made, and you are not alerted about it again."
            }
            Self::Ignore => {
                "Nothing has to be done: you are not alerted about it again while it stays as it is."
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
        IssueKind::OverriddenByTrigger | IssueKind::RepairUndone => &[RepairAgain, KeepAsIs],
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

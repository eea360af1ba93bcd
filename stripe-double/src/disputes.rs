//! Creation and changes of disputes.

use crate::builders::Dispute;
use crate::fields::Fields;
use crate::objects::{Kind, dispute_transaction};
use crate::store::{Refusal, Store};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// Stripe's fee for a dispute, in minor units.
const FEE: i64 = 1_500;

/// The details of a dispute that the network settles by the merchant's rules.
static BY_RESOLUTION: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "card": {
            "brand": "visa", "case_type": "resolution", "network_reason_code": "10.4", "network": "visa"
        },
        "type": "card"
    })
});

/// How long a dispute can be answered, in seconds: a week.
const ANSWER_SECONDS: i64 = 7 * 24 * 3600;

impl Store {
    /// Disputes a charge, named by its own id, its intent's or its session's. Returns the dispute's id.
    pub(crate) fn dispute(
        &mut self,
        id: &str,
        dispute: Dispute,
        at: i64,
    ) -> Result<String, Refusal> {
        let charge_id = self.charge_of(id)?;
        let dispute_id = dispute.id.unwrap_or_else(|| self.ids.object("du_1"));
        let charge = self.require(&charge_id, Kind::Charge)?;
        let amount = dispute.amount.unwrap_or(charge.int("amount_captured"));
        let mut fields = Fields::default();
        fields.set("id", dispute_id.as_str());
        fields.set("amount", amount);
        fields.set("charge", charge_id.as_str());
        fields.set("created", at);
        for inherited in ["currency", "payment_intent"] {
            let value = charge.get(inherited).cloned().unwrap_or_default();
            fields.set(inherited, value);
        }
        fields.set(
            "evidence_details",
            json!({
                "due_by": at + ANSWER_SECONDS, "has_evidence": false, "past_due": false,
                "submission_count": 0, "enhanced_eligibility": {}
            }),
        );
        let inquiry = dispute.status.starts_with("warning_");
        fields.set("is_charge_refundable", inquiry);
        fields.set("livemode", charge.livemode);
        let reason = dispute.reason.as_deref().unwrap_or("fraudulent");
        fields.set("reason", reason);
        fields.set("status", dispute.status.as_str());
        if dispute.is_resolution {
            fields.set("payment_method_details", BY_RESOLUTION.clone());
        }
        let (livemode, account) = (charge.livemode, Arc::clone(&charge.account));
        self.add(Kind::Dispute, &dispute_id, at, livemode, account, fields)?;
        self.change(&charge_id, |fields| fields.set("disputed", true))?;
        self.emit("charge.dispute.created", &dispute_id, at);
        if self.withdraws_funds(&dispute_id, &dispute.status)? {
            self.move_funds(&dispute_id, -amount, FEE, at)?;
            self.emit("charge.dispute.funds_withdrawn", &dispute_id, at);
        }
        self.settle_dispute(&dispute_id, &dispute.status, at)?;
        Ok(dispute_id)
    }

    /// Changes a dispute's status. The charge stays disputed with any status.
    pub(crate) fn update_dispute(
        &mut self,
        id: &str,
        status: &str,
        at: i64,
    ) -> Result<(), Refusal> {
        let dispute = self.require(id, Kind::Dispute)?;
        let before = dispute.get("status").cloned().unwrap_or_default();
        let amount = dispute.int("amount");
        let was_inquiry = before
            .as_str()
            .is_some_and(|was| was.starts_with("warning_"));
        self.change(id, |fields| fields.set("status", status))?;
        let previous = json!({ "status": before });
        self.emit_with("charge.dispute.updated", id, at, Some(previous));
        if was_inquiry && self.withdraws_funds(id, status)? {
            self.change(id, |fields| fields.set("is_charge_refundable", false))?;
            self.move_funds(id, -amount, FEE, at)?;
            self.emit("charge.dispute.funds_withdrawn", id, at);
        }
        self.settle_dispute(id, status, at)
    }

    /// Returns whether a dispute with this status withdraws the funds: neither an inquiry nor one that was prevented,
    /// unless it was by giving the customer the money.
    fn withdraws_funds(&self, id: &str, status: &str) -> Result<bool, Refusal> {
        let details = self
            .require(id, Kind::Dispute)?
            .get("payment_method_details");
        let is_resolution = details == Some(&*BY_RESOLUTION);
        Ok(!status.starts_with("warning_") && (status != "prevented" || is_resolution))
    }

    /// Moves the funds back, or not, when the dispute ends.
    fn settle_dispute(&mut self, id: &str, status: &str, at: i64) -> Result<(), Refusal> {
        if status == "won" {
            let amount = self.require(id, Kind::Dispute)?.int("amount");
            self.move_funds(id, amount, -FEE, at)?;
            self.emit("charge.dispute.funds_reinstated", id, at);
        }
        if matches!(status, "won" | "lost" | "warning_closed" | "prevented") {
            self.emit("charge.dispute.closed", id, at);
        }
        Ok(())
    }

    fn move_funds(&mut self, id: &str, amount: i64, fee: i64, at: i64) -> Result<(), Refusal> {
        let transaction = self.ids.object("txn_1");
        let dispute = self.require(id, Kind::Dispute)?;
        let moved = dispute_transaction(transaction, &dispute.fields, at, amount, fee);
        let mut moves = match dispute.get("balance_transactions") {
            Some(Value::Array(moves)) => moves.clone(),
            _ => Vec::new(),
        };
        moves.push(moved);
        self.change(id, |fields| fields.set("balance_transactions", moves))
    }
}

//! Creation and changes of refunds, and their effect on the charge.

use crate::builders::Refund;
use crate::fields::Fields;
use crate::objects::Kind;
use crate::store::{Refusal, Store};
use serde_json::{Value, json};
use std::sync::Arc;

impl Store {
    /// Refunds a charge, named by its own id, its intent's or its session's. Returns the refund's id.
    ///
    /// A refund counts in `amount_refunded` until it fails or is canceled.
    pub(crate) fn refund(&mut self, id: &str, refund: Refund, at: i64) -> Result<String, Refusal> {
        let charge_id = self.charge_of(id)?;
        let charge = self.require(&charge_id, Kind::Charge)?;
        if charge.get("captured") != Some(&Value::Bool(true)) {
            let message = format!("\"{charge_id}\" was not captured: nothing can be refunded");
            return Err(Refusal::conflict(message));
        }
        let left = charge.int("amount_captured") - self.refunded(&charge_id);
        let amount = refund.amount.unwrap_or(left);
        if amount <= 0 || amount > left {
            let message = format!("{amount} cannot be refunded of {left} left on \"{charge_id}\"");
            return Err(Refusal::conflict(message));
        }
        let mut fields = Fields::default();
        for inherited in ["currency", "payment_intent"] {
            let value = charge.get(inherited).cloned().unwrap_or_default();
            fields.set(inherited, value);
        }
        let (livemode, account) = (charge.livemode, Arc::clone(&charge.account));
        let refund_id = refund.id.unwrap_or_else(|| self.ids.object("re_3"));
        let status = refund.status.unwrap_or_else(|| "succeeded".into());
        // A refund that fails was pending before.
        let failing = !counts(&status);
        fields.set("id", refund_id.as_str());
        fields.set("amount", amount);
        fields.set("charge", charge_id.as_str());
        fields.set("created", at);
        fields.set("reason", refund.reason);
        let first = if failing { "pending" } else { status.as_str() };
        fields.set("status", first);
        fields.set("balance_transaction", self.ids.object("txn_3"));
        self.add(Kind::Refund, &refund_id, at, livemode, account, fields)?;
        let previous = self.recount(&charge_id)?;
        self.emit_with("charge.refunded", &charge_id, at, Some(previous));
        self.emit("refund.created", &refund_id, at);
        if failing {
            self.update_refund(&refund_id, &status, at)?;
        }
        Ok(refund_id)
    }

    /// Changes a refund's status.
    pub(crate) fn update_refund(&mut self, id: &str, status: &str, at: i64) -> Result<(), Refusal> {
        let refund = self.require(id, Kind::Refund)?;
        let before = refund.get("status").cloned().unwrap_or_default();
        let charge = refund.text("charge").map(str::to_owned);
        self.change(id, |fields| {
            fields.set("status", status);
            if status == "failed" {
                fields.set("failure_reason", "lost_or_stolen_card");
            }
        })?;
        if let Some(charge) = charge.filter(|charge| self.get(charge).is_some()) {
            self.recount(&charge)?;
        }
        let previous = json!({ "status": before });
        self.emit_with("refund.updated", id, at, Some(previous.clone()));
        self.emit_with("charge.refund.updated", id, at, Some(previous));
        if status == "failed" {
            self.emit("refund.failed", id, at);
        }
        Ok(())
    }

    /// Returns the sum of a charge's refunds that have not failed or been canceled.
    fn refunded(&self, charge: &str) -> i64 {
        let refunds = self.children(Kind::Refund, "charge", charge);
        let refunds = refunds.iter().filter(|id| !self.releases.contains(*id));
        let refunds = refunds.filter_map(|id| self.get(id));
        let counted = refunds.filter(|refund| refund.text("status").is_none_or(counts));
        counted.map(|refund| refund.int("amount")).sum()
    }

    /// Sets the charge's totals from its refunds. Returns the previous totals.
    fn recount(&mut self, charge: &str) -> Result<Value, Refusal> {
        let record = self.require(charge, Kind::Charge)?;
        let previous = json!({
            "amount_refunded": record.get("amount_refunded"),
            "refunded": record.get("refunded"),
        });
        let captured = record.int("amount_captured");
        let refunded = self.refunded(charge);
        let released = match self.release_counts_as_refunded {
            true => record.int("amount") - captured,
            false => 0,
        };
        self.change(charge, |fields| {
            fields.set("amount_refunded", refunded + released);
            fields.set("refunded", refunded > 0 && refunded >= captured);
        })?;
        Ok(previous)
    }
}

fn counts(status: &str) -> bool {
    !matches!(status, "failed" | "canceled")
}

//! Alerts: rendered into the outbox in the transaction that found the issues, and sent through Resend
//! after it was committed.

mod entry;
mod html;
mod mail;
pub(crate) mod outbox;
mod page;
mod send;
pub(crate) mod settings;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::pg::{Problem, Transactions};

/// How long sending may take; what is left is due the next time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends what is due. Where the transactions are our own, none is open while
/// Resend is waited for.
///
/// Fails where the key cannot be read, as [`send::connection`] says.
pub(crate) fn send_due(transactions: Transactions) -> Result<Value, Problem> {
    let deadline = Instant::now() + PATIENCE;
    let (mut sent, mut failed) = (0, 0);
    let connection = send::connection()?;
    let has_key = connection.is_some();
    if let Some(connection) = connection {
        let letters = outbox::take_due()?;
        let deliveries = transactions.wait(|| send::deliver(letters, connection, deadline))?;
        outbox::note(&deliveries);
        for (_, delivery) in &deliveries {
            match delivery {
                send::Delivery::Sent { .. } => sent += 1,
                send::Delivery::Failed { .. } => failed += 1,
                send::Delivery::NotTried => {}
            }
        }
    }
    let waiting = outbox::count_unsent();
    let mut message = format!("Sent {sent} alerts. {waiting} wait in the outbox.");
    if !has_key {
        message = format!("No e-mail key is set (invoice_sync.resend_api_key). {message}");
    }
    Ok(json!({ "sent": sent, "failed": failed, "waiting": waiting, "message": message }))
}

/// The same for a run, which goes on whatever became of it: what failed is in
/// the outbox, and a key that cannot be read gives a WARNING.
pub(crate) fn send_or_warn(transactions: Transactions) {
    if let Err(problem) = send_due(transactions) {
        pgrx::warning!("alerts could not be sent: {problem}");
    }
}

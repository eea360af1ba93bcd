//! What operators call: resolve an issue, undo a run, check the installation, explain an invoice.

pub(crate) mod actions;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod resolve;
pub(crate) mod undo;

use crate::apply::context::Mode;
use crate::host::lock::{Patience, read_locked};
use crate::host::mapping::Mapping;
use crate::host::read::{Reading, Readings, read_one};
use crate::pg::Problem;

/// Reads the invoice and its payments, locked unless it is a dry run. Returns `None` if there is no such invoice.
fn read_for(mode: Mode, mapping: &Mapping, invoice: &str) -> Result<Option<Reading>, Problem> {
    match mode {
        Mode::DryRun => read_one(mapping, invoice),
        Mode::Write => {
            let locked = read_locked(mapping, &[invoice], Patience::Wait, Readings::new())?;
            Ok(locked.into_values().next().map(|locked| locked.reading))
        }
    }
}

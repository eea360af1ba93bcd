//! What applies to all invoices of a run: mapping, rules, dry run or not.

use crate::domain::rules::Rules;
use crate::host::mapping::Mapping;

pub(crate) struct Context<'a> {
    pub(crate) mapping: &'a Mapping,
    pub(crate) rules: Rules,
    pub(crate) mode: Mode,
    pub(crate) on_override: OnOverride,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Write,
    /// Decide, and write nothing at all.
    DryRun,
}

/// What to do about a change that a trigger of the host's undid before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnOverride {
    /// Leave it: it is an issue, not a loop.
    Once,
    /// A person asked: try again.
    Again,
    /// A person decided about what was undone: that is not asked about again.
    Decided,
}

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
    /// Decides without writing anything.
    DryRun,
}

/// What to do about a change that a trigger of the application overrode before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnOverride {
    /// Do not try again; raise an issue.
    Once,
    /// Try again, because a person asked for it.
    Again,
    /// A person has decided about the undone repair: it is not held back.
    Decided,
}

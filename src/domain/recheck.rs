//! When Stripe is asked about an invoice again.

/// The next question to Stripe, as far as this pass can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Recheck {
    /// Every object is final, or its money is in the books.
    #[default]
    Never,
    /// After so many seconds.
    After(i64),
    /// Soon at first, then less and less often: something may still happen, and
    /// Stripe's events would tell of it.
    BackingOff,
    /// With the next sweep.
    NextSweep,
}

/// A state that only a person, or the other side of a dispute, can change.
pub(crate) const HELD: Recheck = Recheck::After(6 * 60 * 60);

impl Recheck {
    /// The sooner of two.
    pub(crate) fn sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::NextSweep, _) | (_, Self::NextSweep) => Self::NextSweep,
            (Self::BackingOff, _) | (_, Self::BackingOff) => Self::BackingOff,
            (Self::After(a), Self::After(b)) => Self::After(a.min(b)),
            (Self::After(a), Self::Never) | (Self::Never, Self::After(a)) => Self::After(a),
            (Self::Never, Self::Never) => Self::Never,
        }
    }
}

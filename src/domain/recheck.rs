//! When Stripe is asked about an invoice again.

/// The next lookup at Stripe, as far as this pass can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Recheck {
    /// All objects are final, or their money is booked.
    #[default]
    Never,
    /// After this many seconds.
    After(i64),
    /// Soon at first, then at increasing intervals: something may still happen, which Stripe's events would also
    /// report.
    BackingOff,
    /// In the next sweep.
    NextSweep,
}

/// For a state that only a person, or a decision about a dispute, can change.
pub(crate) const HELD: Recheck = Recheck::After(HELD_SECONDS);

/// The seconds of [`HELD`].
pub(crate) const HELD_SECONDS: i64 = 6 * 60 * 60;

impl Recheck {
    /// Returns the sooner of two.
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

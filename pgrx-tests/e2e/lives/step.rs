//! The steps of a life, as data: what a purchase, an invoice or a run is, a step says by numbers
//! that mean the same in whatever part of the life is played.

/// Which of the shop's invoices.
pub type Bill = usize;

/// Which of the shop's purchases: the number of the step that made it.
pub type Sale = usize;

/// One thing that happens. Amounts in cents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A checkout session is opened.
    Checkout {
        sale: Sale,
        bill: Bill,
        amount: i64,
        gratuity: i64,
        names: Names,
        stored: bool,
        /// The application makes a payment row that waits for it.
        pending: bool,
    },
    /// A payment intent is made without a session, and paid.
    Intent {
        sale: Sale,
        bill: Bill,
        amount: i64,
        gratuity: i64,
        named: bool,
        stored: bool,
    },
    Pay(Sale),
    Expire(Sale),
    Refund {
        sale: Sale,
        /// Nothing: all that is left.
        amount: Option<i64>,
        pending: bool,
    },
    /// The refund that was made last comes to this status.
    RefundBecomes(Sale, &'static str),
    Dispute(Sale),
    /// The dispute that was opened last comes to this status.
    DisputeBecomes(Sale, &'static str),

    /// The application's own webhook handler books the payment.
    Handler {
        sale: Sale,
        /// It looks first whether the payment is booked.
        careful: bool,
    },
    MarkPaid(Bill),
    Cash {
        bill: Bill,
        amount: i64,
        /// The invoice's amounts follow.
        told: bool,
    },
    Cancel(Bill),
    Delete(Bill),
    Total {
        bill: Bill,
        amount: i64,
    },
    /// An invoice stores the ids of a purchase, whosever that is.
    Store {
        bill: Bill,
        sale: Sale,
    },

    /// So many webhooks that wait come.
    Deliver {
        count: usize,
        order: Order,
        twice: bool,
    },
    /// So many webhooks that wait never come.
    Lose(usize),
    /// One that came already comes again.
    Again(usize),
    /// Whether a webhook asks Stripe.
    Fetching(bool),

    EntryPoint(EntryPoint),
    /// Two entry points at the same moment.
    Together(EntryPoint, EntryPoint),
    /// A entry point's answers from Stripe are held back while something else happens.
    Held {
        entry_point: EntryPoint,
        meanwhile: Vec<Step>,
    },
    /// Entry points while the application has an invoice locked.
    Locked {
        bill: Bill,
        entry_points: Vec<EntryPoint>,
    },
    /// A entry point whose session is terminated while Stripe's answers are held back.
    Killed(EntryPoint),
    /// What a run changed is put back; how many runs back, of those that changed something.
    Undo(usize),
    /// A person decides about an open issue: which one, and which of its actions.
    Resolve {
        issue: usize,
        action: usize,
    },
    Acknowledge(usize),

    /// Stripe is in trouble for so many requests.
    Trouble(Trouble, u64),
    /// So many seconds go by.
    Time(i64),
    /// All is well, all has come, and nothing is left to do.
    Rest,
}

/// Where metadata names the invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    Session,
    Intent,
    Both,
    Nowhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    AsTheyHappened,
    Backwards,
    Shuffled(u64),
}

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryPoint {
    RunSweep,
    Sweep,
    DrySweep,
    Button(Bill),
    DryButton(Bill),
    Backfill,
    /// The webhook that waits longest, or so many after it.
    Webhook(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Error500,
    RateLimited,
    Reset,
    Truncated,
    Slow,
    Outage,
}

impl Step {
    /// The purchase that begins with it.
    pub fn begins(&self) -> Option<Sale> {
        match self {
            Self::Checkout { sale, .. } | Self::Intent { sale, .. } => Some(*sale),
            _ => None,
        }
    }

    /// The invoices that it is about.
    pub fn bills(&self) -> Vec<Bill> {
        match self {
            Self::Checkout { bill, .. }
            | Self::Intent { bill, .. }
            | Self::MarkPaid(bill)
            | Self::Cash { bill, .. }
            | Self::Cancel(bill)
            | Self::Delete(bill)
            | Self::Total { bill, .. }
            | Self::Store { bill, .. }
            | Self::Locked { bill, .. } => vec![*bill],
            Self::EntryPoint(entry_point) | Self::Killed(entry_point) => {
                entry_point.bill().into_iter().collect()
            }
            Self::Together(one, other) => {
                [one.bill(), other.bill()].into_iter().flatten().collect()
            }
            Self::Held { entry_point, .. } => entry_point.bill().into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// The purchases that it is about.
    pub fn sales(&self) -> Vec<Sale> {
        match self {
            Self::Checkout { sale, .. }
            | Self::Intent { sale, .. }
            | Self::Pay(sale)
            | Self::Expire(sale)
            | Self::Refund { sale, .. }
            | Self::RefundBecomes(sale, _)
            | Self::Dispute(sale)
            | Self::DisputeBecomes(sale, _)
            | Self::Handler { sale, .. }
            | Self::Store { sale, .. } => vec![*sale],
            Self::Held { meanwhile, .. } => meanwhile.iter().flat_map(Self::sales).collect(),
            _ => Vec::new(),
        }
    }
}

impl EntryPoint {
    fn bill(self) -> Option<Bill> {
        match self {
            Self::Button(bill) | Self::DryButton(bill) => Some(bill),
            _ => None,
        }
    }
}

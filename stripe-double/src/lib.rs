//! A stateful stand-in for Stripe over real HTTP/1.1 on 127.0.0.1.
//!
//! Tests run it in their own process; the demonstration and the benchmarks run the program of the same name.
//!
//! ```
//! use stripe_double::{Checkout, Config, Double};
//!
//! let double = Double::start(Config::default())?;
//! let paid = double.checkout(Checkout::new(12_500, "usd").metadata("invoice_id", "42")).pay();
//! assert_eq!(double.object(&paid.session_id()).unwrap()["payment_status"], "paid");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Every change through this API emits the events that Stripe would emit; `GET /v1/events` lists them. The same
//! operations are available over HTTP below `/_double/` (see [`control`]). The double also accepts mails at Resend's
//! `POST /emails`.
//!
//! Invalid operations (an unknown id, a second payment) panic at the caller's line and say why; over HTTP they return
//! an error.
//!
//! The example objects in `templates/` come from Stripe's published OpenAPI fixtures (MIT licence). Their random
//! values are replaced by those of a plain card payment.

mod answer;
mod auth;
mod builders;
mod charges;
mod clock;
mod config;
mod connection;
mod connections;
pub mod control;
mod control_actions;
mod disputes;
mod double;
mod errors;
mod events;
mod expand;
mod faults;
mod fields;
mod http;
mod ids;
mod journal;
mod limits;
mod lists;
mod lock;
mod objects;
mod outcome;
mod params;
mod payments;
mod purchase;
mod refunds;
mod replacements;
mod resend;
mod routes;
mod server;
mod settlement;
mod snapshot;
mod state;
mod store;
mod stripe_invoices;
mod subscriptions;
mod text;
mod unconfirmed;

pub use builders::{Checkout, Dispute, Intent, Refund};
pub use config::{Config, EventDelay, Key};
pub use double::Double;
pub use faults::{Action, Fault};
pub use journal::Seen;
pub use purchase::Purchase;
pub use stripe_invoices::{Billed, StripeInvoice};
pub use text::{HALF_SURROGATE, json_text};

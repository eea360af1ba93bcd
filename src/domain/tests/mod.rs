//! What is decided, shown case by case and for anything at all.

mod amounts;
mod builders;
mod cases;
mod follow_ups;
mod harness;
mod properties;
mod sentences;

//! The way through, a file a step: whom to ask about, what to do about the
//! answers, what to say in the end.

pub(crate) mod apply;
pub(crate) mod connect;
pub(crate) mod inbox;
pub(crate) mod one;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod webhook;

//! A stateful stand-in for Stripe over real HTTP.

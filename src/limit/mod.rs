//! Bounds on what clients may take, so that one of them cannot take all.

pub(crate) mod activity;
pub(crate) mod connections;
pub(crate) mod places;
pub(crate) mod rate;

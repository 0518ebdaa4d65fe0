//! Clerk's HTTP API: the client of the Sessions API and its wire types.

pub mod model;

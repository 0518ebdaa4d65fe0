//! The layer's cost.

fn main() {}

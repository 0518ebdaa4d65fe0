//! The configuration: each stage's own, composed.

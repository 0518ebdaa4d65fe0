//! Logs and metrics: their set-up and their names.

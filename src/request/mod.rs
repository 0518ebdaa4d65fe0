//! The canonical request: built once, read by matching, deciding, logging and forwarding.

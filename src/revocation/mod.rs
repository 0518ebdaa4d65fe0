//! Sessions ended before their cache entries.

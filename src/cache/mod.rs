//! Single-flight, negative, stale and refresh-ahead entries on moka, once for all who need them.

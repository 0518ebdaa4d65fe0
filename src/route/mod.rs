//! Which rule a request meets: a matcher of host, path and method.

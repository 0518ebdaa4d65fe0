//! Sends a request on; knows nothing of authentication.

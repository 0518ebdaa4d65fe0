//! The process: listen, serve, drain; the admin port.

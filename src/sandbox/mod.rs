//! An in-memory Clerk for development and tests.

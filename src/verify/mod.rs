//! Whether a credential is genuine, and its session still good.

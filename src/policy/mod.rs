//! What a session must have to pass.

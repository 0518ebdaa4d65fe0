//! What the upstream is told: managed headers, the template token, credential removal.

//! Keys at hand, and how long they may be used.

#[cfg(feature = "client")]
use bytes::Bytes;

use super::keys::KeySet;
#[cfg(feature = "client")]
use crate::time::Timestamp;

/// Keys, and which fetch they came with.
#[derive(Debug)]
pub(crate) struct LoadedKeys {
    pub(crate) set: KeySet,
    /// What they were read from; empty for keys given at set-up.
    #[cfg(feature = "client")]
    pub(crate) jwks: Bytes,
    /// Rises when the keys change: what an older key proved must be proven again.
    pub(crate) generation: u64,
    /// When they were fetched; of no meaning for keys given at set-up.
    #[cfg(feature = "gateway")]
    pub(crate) fetched_at: Timestamp,
    /// From here on they are fetched again.
    #[cfg(feature = "client")]
    pub(crate) refresh_at: Timestamp,
    /// Until here they are used where that fails.
    #[cfg(feature = "client")]
    pub(crate) usable_until: Timestamp,
}

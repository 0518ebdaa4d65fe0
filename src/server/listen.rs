//! Binds addresses, and says what to do where that fails.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// How many connections the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ListenError {
    /// Another process listens there.
    #[error(
        "cannot listen on {address}: the address is in use; stop the other process or change `{key}`"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
        /// The config key that it came from.
        key: &'static str,
    },
    /// The system refuses for another reason.
    #[error("cannot listen on {address}: {source}; change `{key}`")]
    Io {
        /// The address.
        address: SocketAddr,
        /// The config key that it came from.
        key: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The process may not use the port.
    #[error(
        "cannot listen on {address}: permission denied; choose a port above 1023 in `{key}`, or grant CAP_NET_BIND_SERVICE"
    )]
    Permission {
        /// The address.
        address: SocketAddr,
        /// The config key that it came from.
        key: &'static str,
    },
}

/// Binds the address that the config has under `key`, and logs it.
///
/// # Errors
///
/// A [`ListenError`] naming the address and the fix.
pub(crate) fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let listener = open(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address, key },
        io::ErrorKind::PermissionDenied => ListenError::Permission { address, key },
        _ => ListenError::Io {
            address,
            key,
            source,
        },
    })?;
    // Port 0 becomes a real one only now.
    let bound = listener.local_addr().unwrap_or(address);
    tracing::info!(server.address = %bound, config.key = key, "listening");
    Ok(listener)
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not wait for the last connections' TIME_WAIT; on Windows the option would let two share a port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    #[tokio::test]
    async fn an_address_in_use_is_named_with_the_fix() {
        let first = bind("server.listen", ANY).unwrap();
        let taken = first.local_addr().unwrap();
        let error = bind("server.admin", taken).unwrap_err().to_string();
        assert!(
            error.contains(&taken.to_string()) && error.contains("`server.admin`"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_an_error() {
        let error = bind("server.listen", "192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert!(matches!(error, ListenError::Io { .. }), "{error}");
    }
}

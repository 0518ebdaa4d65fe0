//! The other end of a connection, and which of them are proxies to be believed.

use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;
use ipnet::IpNet;

use super::forwarded::addresses_value;

/// How a request arrived.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scheme {
    /// In plain text.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// Returns the scheme's name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Http, Self::Https]
            .into_iter()
            .find(|scheme| text.eq_ignore_ascii_case(scheme.as_str()))
    }
}

/// The other end of a connection; made once a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(super) address: IpAddr,
    pub(super) scheme: Scheme,
    /// The address as `X-Forwarded-For` takes it, so that no request formats it anew.
    pub(super) value: HeaderValue,
}

impl Peer {
    /// Returns the address, an IPv4 one in IPv6 clothes as itself.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the same peer as one that speaks `scheme`.
    pub(crate) fn speaking(&self, scheme: Scheme) -> Self {
        Self {
            scheme,
            ..self.clone()
        }
    }

    /// Takes the peer's address and the scheme that it speaks.
    pub(crate) fn new(address: SocketAddr, scheme: Scheme) -> Self {
        let address = address.ip().to_canonical();
        let value = addresses_value(&[address]);
        Self {
            address,
            scheme,
            value,
        }
    }
}

/// The proxies whose forwarding headers count.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies(Box<[IpNet]>);

/// A network of all addresses was to be trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` trusts every address: name the proxies' own networks")]
pub(crate) struct TrustsEveryone(pub(crate) IpNet);

impl TrustedProxies {
    /// Takes the proxies' networks.
    ///
    /// # Errors
    ///
    /// [`TrustsEveryone`] for `0.0.0.0/0` and `::/0`.
    pub(crate) fn new(networks: Vec<IpNet>) -> Result<Self, TrustsEveryone> {
        match networks.iter().find(|network| network.prefix_len() == 0) {
            Some(network) => Err(TrustsEveryone(*network)),
            None => Ok(Self(networks.into())),
        }
    }

    /// Returns these and `others` together.
    pub(crate) fn and(&self, others: &Self) -> Self {
        Self(self.0.iter().chain(&others.0).copied().collect())
    }

    /// Tells whether the address, an IPv4 one in IPv6 clothes included, is a trusted proxy's.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusting_every_address_is_refused() {
        for network in ["0.0.0.0/0", "::/0"] {
            let network = network.parse().unwrap();
            assert_eq!(
                TrustedProxies::new(vec![network]).unwrap_err(),
                TrustsEveryone(network)
            );
        }
    }

    #[test]
    fn a_peer_speaks_the_scheme_that_it_is_given() {
        let peer = Peer::new("192.0.2.1:4000".parse().unwrap(), Scheme::Http);
        let speaking = peer.speaking(Scheme::Https);
        assert_eq!(
            (peer.scheme, speaking.scheme),
            (Scheme::Http, Scheme::Https)
        );
        assert_eq!(speaking.address(), peer.address());
    }

    #[test]
    fn proxies_together_are_those_of_either() {
        let [one, other] = ["10.0.0.0/8", "192.0.2.0/24"]
            .map(|network| TrustedProxies::new(vec![network.parse().unwrap()]).unwrap());
        let both = one.and(&other);
        for (address, is_one) in [("10.1.2.3", true), ("192.0.2.1", true), ("11.1.2.3", false)] {
            assert_eq!(both.contains(address.parse().unwrap()), is_one, "{address}");
        }
    }

    #[test]
    fn mapped_addresses_are_compared_as_ipv4() {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]).unwrap();
        assert!(trusted.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!trusted.contains("::ffff:11.1.2.3".parse().unwrap()));
        assert!(!TrustedProxies::default().contains("127.0.0.1".parse().unwrap()));
    }
}

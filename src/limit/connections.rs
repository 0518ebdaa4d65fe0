//! How many connections one client address may hold.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use crate::request::TrustedProxies;

/// Counts open connections by client address.
#[derive(Clone, Debug)]
pub(crate) struct PerAddress {
    most: usize,
    /// A proxy's connections are those of many clients.
    exempt: TrustedProxies,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One counted connection; it counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    address: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl PerAddress {
    /// Takes the most connections of one address, 0 for any number, and the proxies that are not counted.
    pub(crate) fn new(most: usize, exempt: TrustedProxies) -> Self {
        Self {
            most,
            exempt,
            open: Arc::default(),
        }
    }

    /// Counts one more connection of an address.
    ///
    /// # Errors
    ///
    /// [`TooMany`] where the address has as many as it may.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Option<Counted>, TooMany> {
        if self.most == 0 || self.exempt.contains(address) {
            return Ok(None);
        }
        let address = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= self.most {
            return Err(TooMany);
        }
        *count += 1;
        let open = Arc::clone(&self.open);
        Ok(Some(Counted { address, open }))
    }
}

/// An address has as many connections as it may.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the address has as many connections as it may")]
pub(crate) struct TooMany;

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// One IPv6 client has a whole /64.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(limit: &PerAddress, address: &str) -> Result<Option<Counted>, TooMany> {
        limit.admit(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_refused_above_its_share_and_others_are_not() {
        let limit = PerAddress::new(2, TrustedProxies::default());
        let first = admit(&limit, "192.0.2.1").unwrap();
        let _second = admit(&limit, "::ffff:192.0.2.1").unwrap();
        assert_eq!(admit(&limit, "192.0.2.1").unwrap_err(), TooMany);
        assert!(admit(&limit, "192.0.2.2").is_ok());
        drop(first);
        assert!(admit(&limit, "192.0.2.1").is_ok());
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_client() {
        let limit = PerAddress::new(1, TrustedProxies::default());
        let _held = admit(&limit, "2001:db8::1").unwrap();
        assert!(admit(&limit, "2001:db8::2").is_err());
        assert!(admit(&limit, "2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn proxies_are_not_counted_and_nothing_is_left_behind() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]).unwrap();
        let limit = PerAddress::new(1, proxies);
        let held: Vec<_> = (0..3).map(|_| admit(&limit, "10.1.1.1").unwrap()).collect();
        drop((held, admit(&limit, "192.0.2.1").unwrap()));
        assert!(limit.open.lock().unwrap().is_empty());
    }
}

//! Where a request comes from, as the server sees it.

use http::HeaderMap;
use std::net::IpAddr;

/// An address or a block of addresses.
pub(crate) struct Block {
    network: IpAddr,
    prefix: u32,
}

impl Block {
    /// Reads `10.0.0.1`, `10.0.0.0/8` or their IPv6 forms.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().ok()?;
        let full = bits(network);
        let prefix = prefix.unwrap_or(full);
        (prefix <= full).then_some(Self { network, prefix })
    }

    /// Whether `address` lies in the block.
    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        let full = bits(self.network);
        let differ = number(self.network) ^ number(address);
        full == bits(address) && differ.checked_shr(full - self.prefix).unwrap_or(0) == 0
    }
}

/// The text by which the tokens endpoint counts callers: the whole forwarded-for chain, else the peer.
pub(crate) fn caller(headers: &HeaderMap, peer: IpAddr) -> String {
    match text(headers, "x-forwarded-for") {
        Some(chain) => chain.split_whitespace().collect(),
        None => peer.to_string(),
    }
}

/// The address that a network access policy judges: `X-Real-IP`, else the first forwarded-for, else the peer.
pub(crate) fn origin(headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let forwarded = || text(headers, "x-forwarded-for").and_then(|chain| chain.split(',').next());
    let named = text(headers, "x-real-ip").or_else(forwarded);
    named
        .and_then(|address| address.trim().parse().ok())
        .unwrap_or(peer)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn bits(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn blocks_hold_their_own_addresses_only() {
        let block = Block::read("10.1.0.0/16").unwrap();
        assert!(block.holds(address("10.1.255.3")));
        assert!(!block.holds(address("10.2.0.1")));
        assert!(!block.holds(address("::ffff:10.1.0.1")));
        assert!(
            Block::read("0.0.0.0/0")
                .unwrap()
                .holds(address("203.0.113.9"))
        );
        assert!(Block::read("::/0").unwrap().holds(address("2001:db8::1")));
        assert!(
            !Block::read("203.0.113.9")
                .unwrap()
                .holds(address("203.0.113.8"))
        );
    }

    #[test]
    fn texts_that_are_no_block_are_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0/8", "x", "::/129", "10.0.0.0/"] {
            assert!(Block::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_real_address_wins_over_the_forwarded_one() {
        let mut headers = HeaderMap::new();
        let peer = address("127.0.0.1");
        assert_eq!(origin(&headers, peer), peer);
        headers.insert("x-forwarded-for", "203.0.113.9, 10.0.0.1".parse().unwrap());
        assert_eq!(origin(&headers, peer), address("203.0.113.9"));
        headers.insert("x-real-ip", "192.0.2.1".parse().unwrap());
        assert_eq!(origin(&headers, peer), address("192.0.2.1"));
        assert_eq!(caller(&headers, peer), "203.0.113.9,10.0.0.1");
    }
}

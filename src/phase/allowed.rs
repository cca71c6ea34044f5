//! Which hosts a class may name.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use super::host::{Host, HostError, Name};

/// The hosts that this node may ask: the daemon's own, those that the
/// operator wrote out, and with `*` every other `https://` host that does not
/// lead back to the node.
#[derive(Clone, Debug)]
pub struct AllowedHosts {
    default: Host,
    written_out: Vec<Host>,
    any: bool,
    node: Vec<IpAddr>,
}

impl AllowedHosts {
    /// The daemon's own host, and the further entries of `--allowed-host`.
    ///
    /// # Errors
    /// An entry that is neither `*` nor the address of a console.
    pub fn new(default: Host, entries: &[impl AsRef<str>]) -> Result<Self, HostError> {
        let mut allowed = Self {
            default,
            written_out: Vec::new(),
            any: false,
            node: Vec::new(),
        };
        for entry in entries {
            match entry.as_ref().trim() {
                "*" => allowed.any = true,
                host => allowed.written_out.push(host.parse()?),
            }
        }
        Ok(allowed)
    }

    /// Where these are the node's addresses, too: a pod's network does not show them.
    #[must_use]
    pub fn on_node(self, node: &[IpAddr]) -> Self {
        let node = node.to_vec();
        Self { node, ..self }
    }

    /// The daemon's own host.
    #[must_use]
    pub fn default_host(&self) -> &Host {
        &self.default
    }

    /// The host to ask for a class that names `asked`, or none.
    ///
    /// # Errors
    /// A text that is not the address of a console; a host that is not
    /// allowed; under `*`, a host at an address of the node or its cloud.
    pub fn admit(&self, asked: Option<&str>) -> Result<Host, HostError> {
        let Some(asked) = asked else {
            return Ok(self.default.clone());
        };
        let host: Host = asked.parse()?;
        if host == self.default || self.written_out.contains(&host) {
            return Ok(host);
        }
        if !self.any || host.is_plain() {
            return Err(HostError::NotAllowed(host));
        }
        if is_local_name(host.name(), &self.node) {
            return Err(HostError::Local(host));
        }
        Ok(host.screened())
    }
}

fn is_local_name(name: &Name, node: &[IpAddr]) -> bool {
    match name {
        Name::Address(address) => is_local(*address, node),
        Name::Domain(domain) => domain == "localhost" || domain.ends_with(".localhost"),
    }
}

/// Whether an address is the node's own (one of `node`, or of an interface that this
/// process sees), its link's, one at which clouds serve credentials to whoever asks from
/// a node, or one behind which any of these may be.
pub(super) fn is_local(address: IpAddr, node: &[IpAddr]) -> bool {
    // What leads to an IPv4 address is judged as that one.
    let address = match address {
        IpAddr::V6(v6) => embedded_v4(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    let is_of_range = match address {
        IpAddr::V4(address) => is_local_v4(address),
        IpAddr::V6(address) => is_local_v6(address),
    };
    let is_of_node = |own: &IpAddr| own.to_canonical() == address;
    is_of_range || node.iter().any(is_of_node) || is_own(address)
}

/// Whether an interface has this address now: only then can a socket be bound to it.
/// What cannot be found out counts as such.
fn is_own(address: IpAddr) -> bool {
    match UdpSocket::bind((address, 0)) {
        // Where nodes may bind to anything, this says nothing.
        Ok(_) => !binds_to_strangers(address),
        Err(error) => {
            !matches!(
                error.kind(),
                // The family may be switched off.
                ErrorKind::AddrNotAvailable | ErrorKind::Unsupported
            ) && error.raw_os_error() != Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
        }
    }
}

/// Whether the kernel binds sockets to addresses that nobody has (`ip_nonlocal_bind`).
fn binds_to_strangers(like: IpAddr) -> bool {
    let nobodys: IpAddr = match like {
        IpAddr::V4(_) => NOBODYS_V4.into(),
        IpAddr::V6(_) => NOBODYS_V6.into(),
    };
    UdpSocket::bind((nobodys, 0)).is_ok()
}

/// For documentation, and of no interface.
const NOBODYS_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const NOBODYS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// Metadata services outside the link-local range: Alibaba Cloud, Azure's
/// host agent, Oracle Cloud.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// The metadata service of Google Cloud; AWS has all of `fd00:ec2::/32`.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);

fn is_local_v4(address: Ipv4Addr) -> bool {
    address.octets()[0] == 0
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || METADATA_V4.contains(&address)
}

fn is_local_v6(address: Ipv6Addr) -> bool {
    let is_of_range = match address.segments() {
        // Site-local, which is no more, but routers may still know it.
        [0xfec0..=0xfeff, ..]
        // Translation within a site: where it leads is the site's matter.
        | [0x64, 0xff9b, 1, ..]
        // Teredo and 6to4: tunnels over IPv4 that nobody needs any more.
        | [0x2001, 0, ..]
        | [0x2002, ..]
        | [0xfd00, 0xec2, ..] => true,
        _ => address == METADATA_V6,
    };
    is_of_range
        || address.is_unspecified()
        || address.is_loopback()
        || address.is_unicast_link_local()
        || address.is_multicast()
}

/// The IPv4 address that a mapped, compatible, translated or NAT64 address leads to.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |segments: [u16; 8]| {
        let [a, b] = segments[6].to_be_bytes();
        let [c, d] = segments[7].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        // `::` and `::1` are addresses of their own, and are local either way.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(last(address.segments())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn allowed(entries: &[&str]) -> AllowedHosts {
        AllowedHosts::new(Host::default(), entries).unwrap()
    }

    #[test]
    fn a_class_without_a_host_gets_the_daemons() {
        assert_eq!(allowed(&[]).admit(None).unwrap(), Host::default());
    }

    #[test]
    fn the_daemons_own_host_may_be_named_in_any_spelling() {
        let host = allowed(&[])
            .admit(Some("https://Console.Phase.dev/service/"))
            .unwrap();
        assert_eq!(host, Host::default());
        assert!(!host.is_screened());
    }

    #[test]
    fn another_host_is_refused_with_the_flag_that_would_allow_it() {
        for text in [
            "https://x.test",
            "http://x.test:80/",
            "https://console.phase.dev/prefix",
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!(
                allowed(&["https://y.test"])
                    .admit(Some(text))
                    .unwrap_err()
                    .to_string(),
                format!(
                    "host {host} is not allowed on this node: ask the cluster admin to add --allowed-host {host}"
                )
            );
        }
    }

    #[test]
    fn a_host_that_was_written_out_is_allowed_wherever_it_leads() {
        let allowed = allowed(&["http://127.0.0.1:8000", "https://localhost", "*"]);
        for text in ["http://127.0.0.1:8000/service", "https://LOCALHOST:443"] {
            assert!(!allowed.admit(Some(text)).unwrap().is_screened(), "{text}");
        }
    }

    #[test]
    fn the_star_allows_any_https_host_but_screens_it() {
        let host = allowed(&["*"]).admit(Some("https://x.test")).unwrap();
        assert!(host.is_screened());
        assert_eq!(host.as_str(), "https://x.test");
    }

    #[test]
    fn the_star_does_not_allow_plain_http() {
        let error = allowed(&["*"]).admit(Some("http://x.test")).unwrap_err();
        assert!(matches!(error, HostError::NotAllowed(_)), "{error}");
    }

    #[test]
    fn the_star_does_not_lead_back_to_the_node_or_its_cloud() {
        for text in [
            "https://localhost",
            "https://a.localhost.",
            "https://127.0.0.1",
            "https://127.1:8443",
            "https://2130706433",
            "https://0.0.0.0",
            "https://169.254.169.254",
            "https://100.100.100.200",
            "https://168.63.129.16",
            "https://255.255.255.255",
            "https://224.0.0.1",
            "https://[::]",
            "https://[::1]",
            "https://[fe80::1]",
            "https://[fd00:ec2::254]",
            "https://[fd20:ce::254]",
            "https://[ff02::1]",
            "https://[::ffff:169.254.169.254]",
            "https://[::127.0.0.1]",
            "https://[64:ff9b::a9fe:a9fe]",
            "https://[64:ff9b:1::5db8:d822]",
            "https://[::ffff:0:7f00:1]",
            "https://[2002:7f00:1::]",
            "https://[2002:5db8:d822::1]",
            "https://[2001::1]",
            "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
            "https://[fec0::1]",
            "https://[feff::1]",
            "https://[fd00:ec2::23]",
            "https://0.1.2.3",
            "https://239.1.2.3",
            "https://127.255.255.254",
        ] {
            let error = allowed(&["*"]).admit(Some(text)).unwrap_err();
            let host: Host = text.parse().unwrap();
            assert_eq!(
                error.to_string(),
                format!(
                    "host {host} is an address of the node or of its cloud: ask the cluster admin to add --allowed-host {host}"
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn the_star_allows_private_networks_where_own_consoles_live() {
        for text in [
            "https://10.1.2.3",
            "https://192.168.0.9:8443",
            "https://[fd12::9]",
            "https://[fec::1]",
            "https://[2001:db8::9]",
            "https://[2001:4860:4860::8888]",
            "https://[64:ff9b::5db8:d822]",
            "https://[::ffff:93.184.216.34]",
        ] {
            assert!(allowed(&["*"]).admit(Some(text)).is_ok(), "{text}");
        }
    }

    #[test]
    fn the_nodes_own_addresses_are_refused_in_every_spelling() {
        let node = ["192.0.2.7", "2001:db8::7"].map(|address| address.parse().unwrap());
        let allowed = allowed(&["*"]).on_node(&node);
        for (text, is_allowed) in [
            ("https://192.0.2.7", false),
            ("https://[::ffff:192.0.2.7]:10250", false),
            ("https://[64:ff9b::c000:207]", false),
            ("https://[2001:db8::7]", false),
            ("https://192.0.2.8", true),
            ("https://[2001:db8::8]", true),
        ] {
            assert_eq!(allowed.admit(Some(text)).is_ok(), is_allowed, "{text}");
        }
    }

    #[test]
    fn an_address_is_own_while_an_interface_has_it() {
        for (address, own) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("192.0.2.1", false),
            ("198.51.100.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_own(address.parse().unwrap()), own, "{address}");
        }
    }

    #[test]
    fn a_wrong_entry_is_an_error_when_the_daemon_starts() {
        let error = AllowedHosts::new(Host::default(), &["x.test"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "host \"x.test\" does not start with https://: write https://<name>"
        );
    }
}

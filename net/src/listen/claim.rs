//! Claims a port before libp2p binds it, and describes the system's errors.

use std::error::Error;
use std::io;

use super::check::Socket;

/// Checks that a port is free, by binding it. libp2p listens on TCP with `SO_REUSEPORT`, so a
/// second process of the same user could bind it as well, and the kernel would distribute
/// connections between both. The other options are the library's; in particular an IPv6 socket is
/// IPv6 only.
///
/// # Errors
/// The error of the system.
pub(super) fn claim(wanted: &Socket) -> io::Result<()> {
    use socket2::{Domain, Protocol, Socket as Claim, Type};
    if wanted.address.port() == 0 {
        return Ok(());
    }
    let domain = Domain::for_address(wanted.address);
    let (kind, protocol) =
        if wanted.udp { (Type::DGRAM, Protocol::UDP) } else { (Type::STREAM, Protocol::TCP) };
    let claim = Claim::new(domain, kind, Some(protocol))?;
    if wanted.address.is_ipv6() {
        claim.set_only_v6(true)?;
    }
    if !wanted.udp {
        // Connections of an earlier run in TIME_WAIT do not block the port.
        claim.set_reuse_address(true)?;
    }
    claim.bind(&wanted.address.into())?;
    // Two sockets can be bound with that option, but only one can listen. Closed again at once,
    // before the library binds.
    if wanted.udp { Ok(()) } else { claim.listen(1) }
}

/// The error as shown to the operator, with a hint for common causes.
pub(super) fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "its port is in use by another process".into(),
        io::ErrorKind::AddrNotAvailable => NO_SUCH_IP.into(),
        io::ErrorKind::Unsupported => "this machine has no support for its address family".into(),
        io::ErrorKind::PermissionDenied => {
            "this process may not: ports below 1024 need CAP_NET_BIND_SERVICE; take another port"
                .into()
        }
        _ if error.raw_os_error() == Some(EAFNOSUPPORT) => {
            "this machine has no support for its address family".into()
        }
        _ => with_causes(error),
    }
}

/// The reason of `EADDRNOTAVAIL`.
pub(super) const NO_SUCH_IP: &str = "no interface of this machine has its IP address";

/// Linux's error number for an address family without support in the kernel, such as IPv6 where it
/// is disabled.
const EAFNOSUPPORT: i32 = 97;

/// The error and those of its causes that it does not already contain.
pub(super) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !reason.contains(&cause) {
            reason = format!("{reason}: {cause}");
        }
        source = error.source();
    }
    reason
}

//! The options of a connection between two brokers.

use std::io;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;

use crate::limits::PEER_UNACKED_MS;

/// A connection that is silent for so long is asked by the kernel whether the other machine is still there.
const KEEPALIVE: Duration = Duration::from_secs(2);

/// Questions without an answer before it is closed.
const KEEPALIVE_PROBES: u32 = 3;

/// Sends at once, and finds out by itself that the other machine is gone: a connection that waits for retransmissions
/// after a cut would hold what is written into it for minutes after the network is whole again.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_tcp_user_timeout(stream, PEER_UNACKED_MS)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?;
    Ok(())
}

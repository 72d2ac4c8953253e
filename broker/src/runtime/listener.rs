//! The listening sockets: one for each shard on the same address, so that the kernel spreads connections.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel keeps for a shard that is busy.
const BACKLOG: i32 = 4096;

/// Listens on `address` with one socket for each of `shards`. Port 0 takes a free port, the same for all.
///
/// The first socket is bound alone: only then does it learn that others may join it. Otherwise a second broker could
/// join the port of a first one and take half of its connections.
///
/// # Errors
/// What the system says; `AddrInUse` when somebody else listens there.
pub fn listen(address: SocketAddr, shards: u32) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let (bound, first) = bind(address)?;
    first.set_reuse_port(shards > 1)?;
    first.listen(BACKLOG)?;
    let mut listeners = vec![TcpListener::from(first)];
    for _ in 1..shards {
        let next = socket(bound)?;
        next.set_reuse_port(true)?;
        next.bind(&bound.into())?;
        next.listen(BACKLOG)?;
        listeners.push(next.into());
    }
    Ok((bound, listeners))
}

/// Listens on `address` with one socket. Port 0 takes a free port.
///
/// # Errors
/// What the system says; `AddrInUse` when somebody else listens there.
pub fn listen_alone(address: SocketAddr) -> io::Result<(SocketAddr, TcpListener)> {
    let (bound, socket) = bind(address)?;
    socket.listen(BACKLOG)?;
    Ok((bound, socket.into()))
}

fn bind(address: SocketAddr) -> io::Result<(SocketAddr, Socket)> {
    let socket = socket(address)?;
    socket.bind(&address.into())?;
    let bound =
        socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an internet address"))?;
    Ok((bound, socket))
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a broker that has ended do not keep the port; a listening one does.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn shards_share_a_port_that_nobody_else_gets() {
        for shards in [1, 3] {
            let (address, listeners) = listen("127.0.0.1:0".parse().unwrap(), shards).unwrap();
            assert_eq!(listeners.len(), shards as usize);
            assert!(listeners.iter().all(|l| l.local_addr().unwrap() == address));
            TcpStream::connect(address).unwrap();
            for other in [1, 2] {
                let error = listen(address, other).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{shards} and {other}: {error}");
            }
            drop(listeners);
            listen(address, 2).unwrap();
        }
    }

    #[test]
    fn every_listener_of_a_port_gets_connections() {
        let (address, listeners) = listen("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let clients: Vec<_> = (0..64).map(|_| TcpStream::connect(address).unwrap()).collect();
        let taken: Vec<usize> =
            listeners.iter().map(|l| std::iter::from_fn(|| l.accept().ok()).count()).collect();
        assert_eq!(taken.iter().sum::<usize>(), clients.len());
        assert!(taken.iter().all(|&n| n > 0), "{taken:?}");
    }
}

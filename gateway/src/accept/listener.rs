//! The listening socket, and how many descriptors there may be behind it.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::Error;

/// Connections that the system completes and holds for us: a reconnect storm arrives at once.
const BACKLOG: i32 = 4_096;

/// Descriptors asked for; a socket is one.
const DESCRIPTORS: u64 = 1 << 20;

/// Fewer than this are worth a warning.
const FEW_DESCRIPTORS: u64 = 4_096;

/// Listens on `address`; also returns the port that the system chose.
pub(crate) fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    raise_descriptor_limit();
    listen(address).map_err(|source| Error::Listen {
        address,
        advice: advice(&source),
        source,
    })
}

fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart need not wait for the last process's connections to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let local_addr = listener.local_addr()?;
    Ok((listener, local_addr))
}

fn advice(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => {
            "another process listens there; stop it, or choose another port with --listen".to_owned()
        }
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address; choose one of its own, or 0.0.0.0 for all, with --listen"
                .to_owned()
        }
        ErrorKind::PermissionDenied => {
            "not permitted; choose a port of 1024 or above with --listen, or grant CAP_NET_BIND_SERVICE"
                .to_owned()
        }
        _ => format!("{error}; choose another address with --listen"),
    }
}

/// Raises the soft limit of open files to the hard one. Without it a common default of 1,024 ends
/// accepting long before memory does.
fn raise_descriptor_limit() {
    match rlimit::increase_nofile_limit(DESCRIPTORS) {
        Ok(limit) if limit < FEW_DESCRIPTORS => {
            tracing::warn!(
                process.open_file_limit = limit,
                "few open files allowed; raise the hard limit for more connections"
            );
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of open files was not raised"),
    }
}

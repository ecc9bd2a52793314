//! `sluicegate-srt`: standard input is the server's socket, standard output the UDP port. Restricted before libsrt starts.
#![deny(unsafe_code)]

use std::{
    net::UdpSocket,
    os::{fd::AsFd as _, unix::net::UnixStream},
};

use sandbox::{Allowed, Limits};

/// A listener has four descriptors and two for each thing that it waits with; connections have none of their own.
const DESCRIPTORS: u64 = 64;

/// Each connection has a thread, which reserves 8 MiB and touches a few KiB, and buffers of 12 MB at most. Past it the process
/// dies alone, and the server starts another.
const ADDRESS_SPACE: u64 = 16 << 30;

fn main() {
    let missing = sandbox::restrict(&Allowed {
        read: Vec::new(),
        drive: Vec::new(),
        devices: false,
        limits: Limits { descriptors: DESCRIPTORS, address_space: Some(ADDRESS_SPACE) },
    });
    let link = std::io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let port = std::io::stdout().as_fd().try_clone_to_owned().map(UdpSocket::from);
    match (link, port) {
        (Ok(link), Ok(port)) => srt::run(link, port, missing),
        _ => {
            eprintln!(
                "started by the server, with a socket as standard input and a UDP port as standard output"
            );
            std::process::exit(1);
        }
    }
}

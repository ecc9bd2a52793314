//! psrpc over real Redis: single node, TLS and ACL, sentinel, cluster, and what happens when Redis goes away.
#![allow(clippy::unwrap_used, reason = "tests")]

mod calls;
mod cluster;
mod faults;
mod lifetime;
mod login;
mod sentinel;
mod support;
mod wire;

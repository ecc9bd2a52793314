//! LiveKit's RPC over Redis pub/sub, client and server.
#![forbid(unsafe_code)]

mod bus;
mod channel;
mod claims;
mod client;
mod clock;
mod code;
mod config;
pub mod envelope;
mod method;
mod select;
mod server;

pub use bus::{Bus, BusError, Status};
pub use client::{Client, Options, Replies};
pub use code::{Code, Error};
pub use config::{Config, Mode, Secret, Tls};
pub use method::Method;
pub use server::{Metadata, Registration, Server};

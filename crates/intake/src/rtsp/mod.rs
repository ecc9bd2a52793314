//! RTSP 1.0 (RFC 2326): streams that we pull from cameras and servers. The client is our own: docs/adr/0020.
//!
//! One TCP connection is made, through the URL fetcher, whose policy is asked of its address. Nothing that a server says leads to
//! another address: control URLs and content bases are words in requests on that connection, UDP goes to the connection's own
//! peer whatever `source=` says, and a redirect is a new connection with a new check.

mod auth;
mod error;
mod formats;
mod link;
mod message;
mod play;
mod pull;
mod sdp;
mod target;
mod transport;

pub use error::Error;
pub use pull::pull;

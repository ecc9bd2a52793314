//! The control plane against a real Redis and a real, unmodified livekit-server. Each test starts its own on free ports, in
//! a directory of its own, and stops them.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test crate has no callers, and a test may unwrap")]

mod http;
mod lab;
mod look_up;
mod notices;
mod outage;
mod pulls;
mod report;
mod requests;
mod whip;
mod wills;

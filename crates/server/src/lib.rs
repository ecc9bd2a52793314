//! The pieces that the `sluicegate` binary is wired from.

#![forbid(unsafe_code)]

pub mod addresses;
pub mod check;
pub mod cli;
pub mod config;
pub mod cpu;
pub mod encoders;
pub mod health;
pub mod http;
mod id;
pub mod logs;
pub mod metrics;
pub mod serve;
mod srt;
pub mod supervise;
mod urls;
pub mod whip;

//! The pieces that the `sluicegate` binary is wired from: configuration, command line, logs, health, metrics, CPU.

#![forbid(unsafe_code)]

pub mod check;
pub mod cli;
pub mod config;
pub mod cpu;
pub mod health;
pub mod http;
pub mod logs;
pub mod metrics;

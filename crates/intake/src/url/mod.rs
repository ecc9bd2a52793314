//! Fetching http and https for URL ingresses.

pub mod address;

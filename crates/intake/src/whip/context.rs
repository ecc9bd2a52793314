use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::http::HeaderValue;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{net::Net, options::Limits, request::Call, resources::Resources};
use crate::wrong_keys::WrongKeys;

/// What every connection and every publisher shares.
pub(super) struct Context {
    pub(super) calls: mpsc::Sender<Call>,
    pub(super) net: Net,
    pub(super) resources: Resources,
    pub(super) wrong_keys: Mutex<WrongKeys>,
    pub(super) limits: Limits,
    pub(super) ice_lite: bool,
    /// `Link` headers.
    pub(super) links: Vec<HeaderValue>,
    pub(super) tasks: TaskTracker,
    pub(super) end: CancellationToken,
}

impl Context {
    pub(super) fn wrong_keys(&self) -> MutexGuard<'_, WrongKeys> {
        self.wrong_keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Context")
    }
}

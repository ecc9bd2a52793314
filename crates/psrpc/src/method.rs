use std::fmt;

use crate::BusError;

/// One RPC of a service and how it is routed; both sides must agree on all of it. Meant for a `const` per method.
///
/// ```
/// const ECHO: psrpc::Method = psrpc::Method { queue: true, claim: true, ..psrpc::Method::new("Echo", "Say") };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Service, as in the channel names.
    pub service: &'static str,
    /// Method, as in the channel names.
    pub name: &'static str,
    /// Whether calls and registrations name a topic (such as the id of the object that one server holds).
    pub topics: bool,
    /// Whether the servers share the requests: the one that gets the lock in Redis handles it, the others drop it.
    pub queue: bool,
    /// Whether a server offers itself and waits for the client's choice before it runs the handler.
    pub claim: bool,
    /// Whether the client compares the offers (else the first one wins). Needs `claim`.
    pub affinity: bool,
    /// Whether all servers answer. The client then uses `call_multi`.
    pub multi: bool,
}

impl Method {
    /// A method with no flag set: every server that hears the request handles it.
    pub const fn new(service: &'static str, name: &'static str) -> Self {
        Self { service, name, topics: false, queue: false, claim: false, affinity: false, multi: false }
    }

    /// Finds mistakes of our own caller, which would otherwise be a silence on the bus.
    pub(crate) fn check(&self, service: &str, topic: &[&str]) -> Result<(), BusError> {
        let reason = if self.service != service {
            "it belongs to another service"
        } else if !self.topics && !topic.is_empty() {
            "it has no topics"
        } else if self.topics && topic.is_empty() {
            "it needs a topic"
        } else if self.affinity && !self.claim {
            "affinity is compared in claims, and it has none"
        } else if self.multi && self.claim {
            "all servers answer it, and a claim would choose one"
        } else {
            return Ok(());
        };
        Err(BusError::Misuse { method: self.to_string(), reason })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.name)
    }
}

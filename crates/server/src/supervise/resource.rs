//! WHIP resources between the nodes of a cluster: any of them may get the DELETE or PATCH of a publisher that another one has.

use intake::whip::{Action, Elsewhere, PatchDone, PatchError, Resources};
use livekit::bus::whip::{Error, Patched, Registration, Resource};
use media::StreamKey;

use super::{Shared, Supervisor};

/// One of ours, as other nodes see it.
struct Ours {
    resources: Resources,
    id: String,
}

impl Resource for Ours {
    async fn delete(&self) -> Result<(), Error> {
        if self.resources.delete(&self.id).await { Ok(()) } else { Err(Error::Unknown) }
    }

    async fn patch(&self, if_match: Option<String>, fragment: String) -> Result<Patched, Error> {
        let done = self.resources.patch(&self.id, if_match.as_deref(), &fragment).await.map_err(told)?;
        Ok(Patched { fragment: done.fragment, etag: done.etag })
    }
}

impl Shared {
    /// Lets other nodes find a resource of ours, until the registration is dropped. Without Redis they cannot: the publisher
    /// is served all the same.
    pub(super) async fn announce(&self, id: &str, key: &StreamKey) -> Option<Registration> {
        let ours = Ours { resources: self.whip.clone()?, id: id.to_owned() };
        let announced = self.handlers.register_whip(id, key.clone(), ours).await;
        announced
            .inspect_err(
                |error| tracing::warn!(%error, "other servers cannot end or restart this WHIP session"),
            )
            .ok()
    }
}

impl Supervisor {
    /// Asks the other nodes about a resource that is not here, and answers, in a task of its own.
    pub fn elsewhere(&self, call: Elsewhere) {
        let peers = self.shared.peers.clone();
        self.tasks.spawn(async move {
            let (id, key) = (call.resource.clone(), call.key.clone());
            match &call.action {
                Action::Delete => match peers.delete_whip(&id, key.as_ref()).await {
                    Ok(()) => call.deleted(),
                    Err(error) => call.refused(asked(error)),
                },
                Action::Patch { if_match, fragment } => {
                    let patched =
                        peers.restart_whip(&id, key.as_ref(), if_match.as_deref(), &fragment.0).await;
                    match patched {
                        Ok(Patched { fragment, etag }) => call.patched(PatchDone { fragment, etag }),
                        Err(error) => call.refused(asked(error)),
                    }
                }
            }
        });
    }
}

fn told(error: PatchError) -> Error {
    match error {
        PatchError::Unknown => Error::Unknown,
        PatchError::Stale => Error::Stale,
        PatchError::Unsupported(what) => Error::Unsupported(what),
        PatchError::Unavailable(what) => Error::Unavailable(what),
        other => Error::Invalid(other.to_string()),
    }
}

fn asked(error: Error) -> PatchError {
    match error {
        // Who has not the key learns nothing, not even that there is such a resource.
        Error::Unknown | Error::WrongKey => PatchError::Unknown,
        Error::Stale => PatchError::Stale,
        Error::Invalid(what) => PatchError::Invalid(what),
        Error::Unsupported(what) => PatchError::Unsupported(what),
        Error::Unavailable(what) => PatchError::Unavailable(what),
        other => PatchError::Unavailable(other.to_string()),
    }
}

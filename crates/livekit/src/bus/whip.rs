//! WHIP resources over the bus: a publisher's DELETE or PATCH may come to another node than the one that has its session
//! (bus.md §2.4). Each session registers a [`Resource`]; [`Peers`] asks whatever node has it.

use std::{fmt, sync::Arc};

use media::StreamKey;
use psrpc::{Bus, BusError, Client, Code, Metadata, Method, Options, Server, Status};

use super::{
    messages::{DeleteWhipResourceRequest, IceRestartWhipResourceRequest, IceRestartWhipResourceResponse},
    methods::{DELETE_WHIP_RESOURCE, ICE_RESTART_WHIP_RESOURCE},
};

/// Why a WHIP resource is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No node has it (any more): 404.
    #[error("no node has such a WHIP resource")]
    Unknown,
    /// It was made with another stream key, or the request shows none: 403.
    #[error("the request does not show the stream key of the WHIP resource")]
    WrongKey,
    /// If-Match names an ICE session that is over: 412.
    #[error("If-Match names another ICE session than the present one")]
    Stale,
    /// What is wrong with the request: 400.
    #[error("{0}")]
    Invalid(String),
    /// What its node does not do: 422.
    #[error("{0}")]
    Unsupported(String),
    /// What was in the way: 503.
    #[error("{0}")]
    Unavailable(String),
}

/// What a PATCH has brought about.
#[derive(Clone, PartialEq, Eq)]
pub struct Patched {
    /// After an ICE restart: `application/trickle-ice-sdpfrag`. It holds an ice-pwd.
    pub fragment: Option<String>,
    /// The ICE session that there is now.
    pub etag: String,
}

impl fmt::Debug for Patched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patched({}, restarted: {})", self.etag, self.fragment.is_some())
    }
}

/// A session's resource, as other nodes see it. A caller waits for 3 s; what takes longer is dropped.
pub trait Resource: Send + Sync + 'static {
    /// Ends the session.
    fn delete(&self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Adds candidates or restarts ICE (RFC 9725 section 4.3): `fragment` is the body of a PATCH.
    fn patch(
        &self,
        if_match: Option<String>,
        fragment: String,
    ) -> impl Future<Output = Result<Patched, Error>> + Send;
}

/// A resource's place on the bus. Dropped: the topics are unsubscribed.
#[must_use = "dropping it unsubscribes"]
pub struct Registration {
    _registrations: [psrpc::Registration; 2],
}

impl Registration {
    pub(super) async fn open(
        bus: &Bus,
        resource_id: &str,
        key: StreamKey,
        resource: impl Resource,
    ) -> Result<Self, BusError> {
        let server = Server::new(bus, DELETE_WHIP_RESOURCE.service);
        let (resource, key) = (Arc::new(resource), Arc::new(key));
        let (to_delete, its_key) = (resource.clone(), key.clone());
        let delete = move |request: DeleteWhipResourceRequest, _: Metadata| {
            let (resource, shown) = (to_delete.clone(), check(&its_key, &request.stream_key));
            async move {
                shown?;
                resource.delete().await.map_err(psrpc::Error::from)
            }
        };
        let patch = move |request: IceRestartWhipResourceRequest, _: Metadata| {
            let (resource, shown) = (resource.clone(), check(&key, &request.stream_key));
            async move {
                shown?;
                let if_match = Some(request.if_match).filter(|tag| !tag.is_empty());
                let patched = resource.patch(if_match, request.raw_trickle_ice_sdpfrag).await?;
                Ok(IceRestartWhipResourceResponse::from(patched))
            }
        };
        let registrations = [
            server.register(&DELETE_WHIP_RESOURCE, &[resource_id], delete, |_| 1.0).await?,
            server.register(&ICE_RESTART_WHIP_RESOURCE, &[resource_id], patch, |_| 1.0).await?,
        ];
        Ok(Self { _registrations: registrations })
    }
}

fn check(key: &StreamKey, shown: &str) -> Result<(), psrpc::Error> {
    if shown == key.reveal() { Ok(()) } else { Err(Error::WrongKey.into()) }
}

/// The nodes with WHIP sessions, this one among them. Clones share one client.
#[derive(Clone)]
pub struct Peers {
    client: Client,
    bus: Bus,
}

impl Peers {
    /// A client on `bus`, once Redis has confirmed its subscriptions.
    ///
    /// # Errors
    /// Redis does not confirm.
    pub async fn connect(bus: &Bus) -> Result<Self, BusError> {
        Ok(Self { client: Client::new(bus, DELETE_WHIP_RESOURCE.service).await?, bus: bus.clone() })
    }

    /// Ends a session, wherever it is. `key` is what the request showed; without one, no node of ours does it.
    ///
    /// # Errors
    /// [`Error::Unknown`] after 1 s when no node has it; else what its node says.
    pub async fn delete_whip(&self, resource_id: &str, key: Option<&StreamKey>) -> Result<(), Error> {
        let request = DeleteWhipResourceRequest { resource_id: resource_id.into(), stream_key: reveal(key) };
        self.call(&DELETE_WHIP_RESOURCE, resource_id, &request).await
    }

    /// Hands a PATCH's body on to wherever the session is.
    ///
    /// # Errors
    /// As [`Peers::delete_whip`].
    pub async fn restart_whip(
        &self,
        resource_id: &str,
        key: Option<&StreamKey>,
        if_match: Option<&str>,
        fragment: &str,
    ) -> Result<Patched, Error> {
        let request = IceRestartWhipResourceRequest {
            resource_id: resource_id.into(),
            stream_key: reveal(key),
            if_match: if_match.unwrap_or_default().into(),
            ..IceRestartWhipResourceRequest::of(fragment)
        };
        let answer: IceRestartWhipResourceResponse =
            self.call(&ICE_RESTART_WHIP_RESOURCE, resource_id, &request).await?;
        Ok(answer.into())
    }

    async fn call<Req: prost::Message, Res: prost::Message + Default>(
        &self,
        method: &Method,
        resource_id: &str,
        request: &Req,
    ) -> Result<Res, Error> {
        if resource_id.is_empty() {
            return Err(Error::Unknown); // an empty topic is none
        }
        let answer = self.client.call(method, &[resource_id], request, Options::default()).await;
        answer.map_err(|error| match error.code {
            // Nobody offered to answer: that is the bus's word for it, unless the bus itself is away.
            Code::Unavailable if *self.bus.status().borrow() == Status::Connected => Error::Unknown,
            _ => error.into(),
        })
    }
}

fn reveal(key: Option<&StreamKey>) -> String {
    key.map_or_else(String::new, |key| key.reveal().to_owned())
}

impl From<Error> for psrpc::Error {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Unknown => Code::NotFound,
            Error::WrongKey => Code::PermissionDenied,
            Error::Stale => Code::FailedPrecondition,
            Error::Invalid(_) => Code::InvalidArgument,
            Error::Unsupported(_) => Code::UnprocessableEntity,
            // `unavailable` is what the bus says when nobody answers.
            Error::Unavailable(_) => Code::UpstreamServerError,
        };
        psrpc::Error::new(code, error.to_string())
    }
}

impl From<psrpc::Error> for Error {
    fn from(error: psrpc::Error) -> Self {
        match error.code {
            Code::NotFound => Self::Unknown,
            Code::PermissionDenied | Code::Unauthenticated => Self::WrongKey,
            Code::FailedPrecondition => Self::Stale,
            Code::InvalidArgument | Code::MalformedRequest => Self::Invalid(error.message),
            Code::UnprocessableEntity | Code::Unimplemented => Self::Unsupported(error.message),
            _ => Self::Unavailable(error.message),
        }
    }
}

impl From<Patched> for IceRestartWhipResourceResponse {
    fn from(patched: Patched) -> Self {
        Self { trickle_ice_sdpfrag: patched.fragment.unwrap_or_default(), etag: patched.etag }
    }
}

impl From<IceRestartWhipResourceResponse> for Patched {
    fn from(answer: IceRestartWhipResourceResponse) -> Self {
        let fragment = Some(answer.trickle_ice_sdpfrag).filter(|fragment| !fragment.is_empty());
        Self { fragment, etag: answer.etag }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_their_meaning_over_the_bus() {
        let errors = [
            Error::Unknown,
            Error::WrongKey,
            Error::Stale,
            Error::Invalid("no ice-ufrag".into()),
            Error::Unsupported("Trickle-ICE not supported".into()),
            Error::Unavailable("the session is busy".into()),
        ];
        for error in errors {
            assert_eq!(Error::from(psrpc::Error::from(error.clone())), error);
        }
    }

    #[test]
    fn debug_shows_no_password() {
        let patched = Patched { fragment: Some("a=ice-pwd:secret".into()), etag: "\"1\"".into() };
        assert_eq!(format!("{patched:?}"), "Patched(\"1\", restarted: true)");
    }
}

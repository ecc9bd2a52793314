use std::time::Duration;

use livekit_protocol::{IngressInfo, IngressState};
use media::StreamKey;
use psrpc::{Bus, BusError, Client, Method, Options};
use tokio::time::{self, Instant};

use super::{
    error::Error,
    messages::{
        CreateIngressResponse, GetIngressInfoRequest, GetIngressInfoResponse, UpdateIngressStateRequest,
    },
    methods::{CREATE_INGRESS, GET_INGRESS_INFO, UPDATE_INGRESS_STATE},
    pulls::Pull,
    record::Record,
    report::Post,
};

/// One attempt of one call, as the Go worker waits. psrpc gives up after 1 s already if no livekit-server makes an offer.
const ATTEMPT: Duration = Duration::from_secs(3);
/// livekit-server waits for the answer to StartIngress for 3 s, and asks again.
const CREATE: Duration = Duration::from_secs(2);
/// Between two attempts of a look-up. livekit-server is subscribed again 0.1 s after a lost connection, and a publisher waits.
const PAUSE: Duration = Duration::from_millis(200);

/// livekit-server's side of the bus: records and states of ingresses. Clones share one client.
#[derive(Clone)]
pub struct IoInfo {
    client: Client,
}

impl IoInfo {
    /// A client on `bus`, once Redis has confirmed its subscriptions.
    ///
    /// # Errors
    /// Redis does not confirm.
    pub async fn connect(bus: &Bus) -> Result<Self, BusError> {
        Ok(Self { client: Client::new(bus, GET_INGRESS_INFO.service).await? })
    }

    /// Finds the ingress of a publisher's stream key, trying again for up to `within` while nobody answers.
    ///
    /// # Errors
    /// [`Error::NoIngress`] for a key that no ingress has; else the last attempt's failure.
    pub async fn ingress_by_key(&self, key: &StreamKey, within: Duration) -> Result<Record, Error> {
        let request = GetIngressInfoRequest { stream_key: key.reveal().to_owned(), ..Default::default() };
        if key.is_empty() {
            return Err(Error::NoIngress); // livekit-server has an error without a code for it
        }
        self.look_up(&request, within).await
    }

    /// Finds an ingress by its id (`IN_…`), trying again for up to `within` while nobody answers.
    ///
    /// # Errors
    /// [`Error::NoIngress`] for an id that does not exist (any more); else the last attempt's failure.
    pub async fn ingress_by_id(&self, ingress_id: &str, within: Duration) -> Result<Record, Error> {
        if ingress_id.is_empty() {
            return Err(Error::NoIngress);
        }
        let request = GetIngressInfoRequest { ingress_id: ingress_id.to_owned(), ..Default::default() };
        self.look_up(&request, within).await
    }

    /// Replaces the stored state of an ingress, once. Sessions go through [`Reporters`](super::Reporters), which keeps
    /// the rules about order and repetition.
    ///
    /// # Errors
    /// [`Error::NoIngress`]: deleted. [`Error::Superseded`]: the stored state is of a session that started later.
    pub async fn update_state(&self, ingress_id: &str, state: IngressState) -> Result<(), Error> {
        let request = UpdateIngressStateRequest { ingress_id: ingress_id.to_owned(), state: Some(state) };
        self.call(UPDATE_INGRESS_STATE, &request, ATTEMPT).await
    }

    /// The stored state of an ingress, trying again for up to `within` while nobody answers.
    ///
    /// # Errors
    /// [`Error::NoIngress`] for an id that does not exist (any more); else the last attempt's failure.
    pub async fn state(&self, ingress_id: &str, within: Duration) -> Result<IngressState, Error> {
        let request = GetIngressInfoRequest { ingress_id: ingress_id.to_owned(), ..Default::default() };
        Ok(self.info(&request, within).await?.state.unwrap_or_default())
    }

    /// Stores the record of a pull that begins here, with an empty state.
    ///
    /// # Errors
    /// [`Error::Superseded`]: a session of it has begun elsewhere, and has said so. Else the last attempt's failure.
    pub async fn create(&self, pull: &Pull) -> Result<(), Error> {
        let reply = self.call::<_, CreateIngressResponse>(CREATE_INGRESS, pull.info(), CREATE).await;
        reply.map(drop)
    }

    async fn look_up(&self, request: &GetIngressInfoRequest, within: Duration) -> Result<Record, Error> {
        self.info(request, within).await.map(Record::new)
    }

    async fn info(&self, request: &GetIngressInfoRequest, within: Duration) -> Result<IngressInfo, Error> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline - Instant::now();
            let reply =
                self.call::<_, GetIngressInfoResponse>(GET_INGRESS_INFO, request, left.min(ATTEMPT)).await;
            match reply {
                Ok(reply) => return reply.info.ok_or(Error::NoRecord(GET_INGRESS_INFO)),
                Err(error) if error.is_transient() && Instant::now() + PAUSE < deadline => {
                    tracing::debug!(%error, "look-up failed, will try again");
                    time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn call<Req: prost::Message, Res: prost::Message + Default>(
        &self,
        method: Method,
        request: &Req,
        timeout: Duration,
    ) -> Result<Res, Error> {
        let reply = self.client.call(&method, &[], request, Options::timeout(timeout)).await;
        reply.map_err(|source| Error::from_call(method, source))
    }
}

impl Post for IoInfo {
    /// Looks before it posts again: a state for a record without a stored one kills livekit-server up to 1.13.10, and the
    /// attempt before may have failed for just that reason (bus.md §0.10).
    async fn post(&self, ingress_id: &str, state: IngressState, attempt: u32) -> Result<(), Error> {
        if attempt > 1 {
            let record = self.ingress_by_id(ingress_id, ATTEMPT).await?;
            if record.last_started_at.is_none() {
                return Err(Error::NoIngress);
            }
        }
        self.update_state(ingress_id, state).await
    }
}

//! How each method of LiveKit's ingress services is routed (bus.md §1.4; the flags are those of the service definitions).

use psrpc::Method;

/// The record of an ingress, by id or stream key. livekit-server answers.
pub const GET_INGRESS_INFO: Method = io_info("GetIngressInfo");
/// What a session has to say about itself. livekit-server answers.
pub const UPDATE_INGRESS_STATE: Method = io_info("UpdateIngressState");
/// A record as it is to be stored. livekit-server answers.
pub const CREATE_INGRESS: Method = io_info("CreateIngress");
/// Pull a URL; asked of all workers, done by the one that offers itself with the highest affinity.
pub const START_INGRESS: Method =
    Method { claim: true, affinity: true, ..Method::new("IngressInternal", "StartIngress") };
/// Every worker says what it runs.
pub const LIST_ACTIVE_INGRESS: Method =
    Method { topics: true, multi: true, ..Method::new("IngressInternal", "ListActiveIngress") };
/// The record changes; asked of the worker that runs a session of this ingress (the topic).
pub const UPDATE_INGRESS: Method = ingress_handler("UpdateIngress");
/// The ingress goes away; asked of the worker that runs a session of it (the topic).
pub const DELETE_INGRESS: Method = ingress_handler("DeleteIngress");
/// A WHIP session ends; asked of the worker that has the resource (the topic).
pub const DELETE_WHIP_RESOURCE: Method = ingress_handler("DeleteWHIPResource");
/// A WHIP session's PATCH: candidates, or an ICE restart; asked of the worker that has the resource (the topic).
pub const ICE_RESTART_WHIP_RESOURCE: Method = ingress_handler("ICERestartWHIPResource");
/// What the SFU says of a WHIP publisher that it has itself, asked of the worker that handed it over (the topic is the
/// participant's SID). The one method of the service without claims.
pub const WHIP_RTC_CONNECTION_NOTIFY: Method =
    Method { claim: false, ..ingress_handler("WHIPRTCConnectionNotify") };

const fn io_info(name: &'static str) -> Method {
    Method { queue: true, claim: true, ..Method::new("IOInfo", name) }
}

const fn ingress_handler(name: &'static str) -> Method {
    Method { topics: true, queue: true, claim: true, ..Method::new("IngressHandler", name) }
}

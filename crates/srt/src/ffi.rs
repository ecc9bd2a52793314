//! libsrt's own names (srt.h of 1.5.1 to 1.5.5, in which all of this is the same).

use std::ffi::{c_char, c_int, c_void};

use libc::sockaddr;

pub(crate) type SrtSocket = i32;

pub(crate) const ERROR: c_int = -1;
pub(crate) const INVALID: SrtSocket = -1;

/// `SRT_EASYNCRCV`: nothing to read now.
pub(crate) const NOTHING_YET: c_int = 6002;

pub(crate) const EPOLL_IN: c_int = 1;
pub(crate) const EPOLL_ERR: c_int = 8;

/// `LOG_EMERG`: nothing of libsrt's own log, which names stream ids in places.
pub(crate) const LOG_NOTHING: c_int = 0;

/// Options, by their numbers in `SRT_SOCKOPT`.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub(crate) enum Option {
    SendSync = 1,
    ReceiveSync = 2,
    SendBuffered = 19,
    ReceiveBuffered = 20,
    Passphrase = 26,
    PeerVersion = 35,
    ConnectTimeout = 36,
    ReceiveKeyState = 41,
    ReceiveLatency = 43,
    MinimalVersion = 45,
    StreamId = 46,
    PeerIdleTimeout = 55,
}

/// `SRT_KM_S_SECURED`
pub(crate) const SECURED: i32 = 2;

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct EpollEvent {
    pub(crate) fd: SrtSocket,
    pub(crate) events: c_int,
}

/// `CBytePerfMon` up to what is used of it; `rest` is larger than what follows there in any 1.5.
#[repr(C)]
pub(crate) struct Statistics {
    pub(crate) ms_time_stamp: i64,
    pub(crate) pkt_sent_total: i64,
    pub(crate) pkt_recv_total: i64,
    pub(crate) pkt_snd_loss_total: c_int,
    pub(crate) pkt_rcv_loss_total: c_int,
    pub(crate) pkt_retrans_total: c_int,
    pub(crate) pkt_acks_and_naks: [c_int; 4],
    pub(crate) us_snd_duration_total: i64,
    pub(crate) pkt_snd_drop_total: c_int,
    pub(crate) pkt_rcv_drop_total: c_int,
    pub(crate) pkt_rcv_undecrypt_total: c_int,
    pub(crate) bytes_total: [u64; 7],
    pub(crate) pkt_sent: i64,
    pub(crate) pkt_recv: i64,
    pub(crate) pkt_snd_loss: c_int,
    pub(crate) pkt_rcv_loss: c_int,
    pub(crate) pkt_retrans: c_int,
    pub(crate) pkt_rcv_retrans: c_int,
    pub(crate) pkt_acks_and_naks_since: [c_int; 4],
    pub(crate) mbps_send_rate: f64,
    pub(crate) mbps_recv_rate: f64,
    pub(crate) us_snd_duration: i64,
    pub(crate) pkt_reorder_distance: c_int,
    pub(crate) pkt_rcv_avg_belated_time: f64,
    pub(crate) pkt_rcv_belated: i64,
    pub(crate) drops: [c_int; 3],
    pub(crate) bytes: [u64; 7],
    pub(crate) us_pkt_snd_period: f64,
    pub(crate) windows: [c_int; 3],
    pub(crate) ms_rtt: f64,
    pub(crate) rest: [u64; 128],
}

pub(crate) type Hook = unsafe extern "C" fn(
    opaque: *mut c_void,
    socket: SrtSocket,
    handshake_version: c_int,
    peer: *const sockaddr,
    stream_id: *const c_char,
) -> c_int;

unsafe extern "C" {
    pub(crate) fn srt_startup() -> c_int;
    pub(crate) fn srt_cleanup() -> c_int;
    pub(crate) fn srt_getversion() -> u32;
    pub(crate) fn srt_setloglevel(level: c_int);

    pub(crate) fn srt_create_socket() -> SrtSocket;
    pub(crate) fn srt_bind_acquire(socket: SrtSocket, udp: c_int) -> c_int;
    pub(crate) fn srt_listen(socket: SrtSocket, backlog: c_int) -> c_int;
    pub(crate) fn srt_listen_callback(socket: SrtSocket, hook: Hook, opaque: *mut c_void) -> c_int;
    pub(crate) fn srt_accept(socket: SrtSocket, addr: *mut sockaddr, length: *mut c_int) -> SrtSocket;
    pub(crate) fn srt_connect(socket: SrtSocket, addr: *const sockaddr, length: c_int) -> c_int;
    pub(crate) fn srt_close(socket: SrtSocket) -> c_int;

    pub(crate) fn srt_setsockflag(
        socket: SrtSocket,
        option: c_int,
        value: *const c_void,
        length: c_int,
    ) -> c_int;
    pub(crate) fn srt_getsockflag(
        socket: SrtSocket,
        option: c_int,
        value: *mut c_void,
        length: *mut c_int,
    ) -> c_int;
    pub(crate) fn srt_setrejectreason(socket: SrtSocket, value: c_int) -> c_int;
    pub(crate) fn srt_getrejectreason(socket: SrtSocket) -> c_int;
    pub(crate) fn srt_rejectreason_str(id: c_int) -> *const c_char;

    pub(crate) fn srt_recvmsg(socket: SrtSocket, buffer: *mut c_char, length: c_int) -> c_int;
    pub(crate) fn srt_send(socket: SrtSocket, buffer: *const c_char, length: c_int) -> c_int;
    pub(crate) fn srt_getlasterror(errno: *mut c_int) -> c_int;
    pub(crate) fn srt_getlasterror_str() -> *const c_char;
    pub(crate) fn srt_bistats(
        socket: SrtSocket,
        out: *mut Statistics,
        clear: c_int,
        instantaneous: c_int,
    ) -> c_int;

    pub(crate) fn srt_epoll_create() -> c_int;
    pub(crate) fn srt_epoll_add_usock(epoll: c_int, socket: SrtSocket, events: *const c_int) -> c_int;
    pub(crate) fn srt_epoll_remove_usock(epoll: c_int, socket: SrtSocket) -> c_int;
    pub(crate) fn srt_epoll_uwait(
        epoll: c_int,
        ready: *mut EpollEvent,
        room: c_int,
        timeout_ms: i64,
    ) -> c_int;
    pub(crate) fn srt_epoll_set(epoll: c_int, flags: i32) -> i32;
}

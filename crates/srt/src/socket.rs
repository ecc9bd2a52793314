//! libsrt without its sharp edges. This and `poll` are the only modules with unsafe code.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket},
    os::fd::IntoRawFd as _,
    ptr,
    sync::OnceLock,
    time::Duration,
};

use libc::{AF_INET, AF_INET6, sockaddr, sockaddr_in, sockaddr_in6};
use socket2::SockAddr;

use crate::ffi::{self, SrtSocket};

/// Largest message of live mode (`SRT_LIVE_MAX_PLSIZE`).
pub const MESSAGE: usize = 1456;

/// The oldest peers whose handshake has a stream id (handshake version 5).
const OLDEST_PEER: i32 = 0x01_0300;

/// What libsrt says of a failure. Its words hold no stream id and no passphrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {text}")]
pub struct Error {
    what: &'static str,
    text: String,
    code: i32,
}

impl Error {
    fn last(what: &'static str) -> Self {
        // SAFETY: both read the calling thread's last error; the text is a C string that lives until this thread's next
        // call of libsrt, and is copied before.
        let (code, text) = unsafe {
            let code = ffi::srt_getlasterror(ptr::null_mut());
            (code, CStr::from_ptr(ffi::srt_getlasterror_str()))
        };
        Self { what, text: text.to_string_lossy().into_owned(), code }
    }
}

/// Starts libsrt, once for the process's life: it is not stopped before the process returns from `main`, so that sockets are
/// valid wherever they are.
pub fn start() -> Result<(), Error> {
    static STARTED: OnceLock<Result<(), Error>> = OnceLock::new();
    let start = || {
        // SAFETY: takes nothing.
        check("start libsrt", unsafe { ffi::srt_startup() })?;
        // SAFETY: sets an atomic of libsrt.
        unsafe { ffi::srt_setloglevel(ffi::LOG_NOTHING) };
        // libsrt's own destructors end its threads in an order that frees some things twice (seen in 1.5.1 at the end of a
        // process that had connections). What is registered now runs before them.
        // SAFETY: the handler takes nothing and unwinds nowhere.
        unsafe { libc::atexit(stop) };
        Ok(())
    };
    STARTED.get_or_init(start).clone()
}

extern "C" fn stop() {
    // SAFETY: takes nothing; libsrt waits for its threads, and sockets of ours give errors from then on.
    unsafe { ffi::srt_cleanup() };
}

/// libsrt's version, such as 0x010501.
pub fn version() -> u32 {
    // SAFETY: takes nothing and gives a constant.
    unsafe { ffi::srt_getversion() }
}

/// Ends the process at once.
pub fn quit(success: bool) -> ! {
    // SAFETY: ends the process. `exit` would run libsrt's destructors, which wait for its threads, while one of them may be in
    // our hook.
    unsafe { libc::_exit(i32::from(!success)) }
}

/// A number that libsrt knows a socket by. Copies name the same one; libsrt checks each use, so that one that is closed
/// gives an error. It is not given twice within any time that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Socket(pub(crate) SrtSocket);

/// Hears of each caller, on libsrt's own thread, which receives nothing for anybody meanwhile.
pub trait Hook: Send + Sync {
    /// A caller at `peer` shows `stream_id`, up to its first zero byte. An error refuses it with this code
    /// (`SRT_REJX_…`).
    fn call(&self, socket: Socket, peer: SocketAddr, stream_id: &[u8]) -> Result<(), u16>;
}

impl Socket {
    /// A socket whose calls do not wait, but for [`Socket::connect`].
    ///
    /// # Errors
    /// libsrt is out of something.
    pub fn new() -> Result<Self, Error> {
        // SAFETY: takes nothing.
        let socket = Self(unsafe { ffi::srt_create_socket() });
        if socket.0 == ffi::INVALID {
            return Err(Error::last("make a socket"));
        }
        socket.set(ffi::Option::MinimalVersion, OLDEST_PEER)?;
        Ok(socket)
    }

    /// The number.
    pub fn number(self) -> u32 {
        self.0.cast_unsigned()
    }

    /// Of [`Socket::number`].
    pub fn from_number(number: u32) -> Self {
        Self(number.cast_signed())
    }

    /// What both sides must have, 10 to 79 bytes; before listening or connecting.
    ///
    /// # Errors
    /// Another length.
    pub fn set_passphrase(self, passphrase: &str) -> Result<(), Error> {
        self.set_text(ffi::Option::Passphrase, passphrase)
    }

    /// What a listener is shown; before connecting. At most 512 bytes.
    ///
    /// # Errors
    /// It is longer.
    pub fn set_stream_id(self, stream_id: &str) -> Result<(), Error> {
        self.set_text(ffi::Option::StreamId, stream_id)
    }

    /// How long media is held back, at least; before listening or connecting.
    ///
    /// # Errors
    /// Too large a number.
    pub fn set_latency(self, latency: Duration) -> Result<(), Error> {
        self.set(ffi::Option::ReceiveLatency, millis(latency))
    }

    /// A peer that is not heard of for so long is gone; before listening or connecting.
    ///
    /// # Errors
    /// Too large a number.
    pub fn set_peer_idle_timeout(self, timeout: Duration) -> Result<(), Error> {
        self.set(ffi::Option::PeerIdleTimeout, millis(timeout))
    }

    /// How long [`Socket::connect`] tries.
    ///
    /// # Errors
    /// Too large a number.
    pub fn set_connect_timeout(self, timeout: Duration) -> Result<(), Error> {
        self.set(ffi::Option::ConnectTimeout, millis(timeout))
    }

    /// [`Socket::accept`] and [`Socket::receive`] do not wait, nor do those of what is accepted.
    ///
    /// # Errors
    /// A closed socket.
    pub fn set_nonblocking(self) -> Result<(), Error> {
        self.set(ffi::Option::ReceiveSync, 0)
    }

    /// [`Socket::send`] does not wait.
    ///
    /// # Errors
    /// A closed socket.
    pub fn set_nonblocking_send(self) -> Result<(), Error> {
        self.set(ffi::Option::SendSync, 0)
    }

    /// Takes a bound UDP socket for its own.
    ///
    /// # Errors
    /// It is not bound, or this socket has one.
    pub fn acquire(self, udp: UdpSocket) -> Result<(), Error> {
        // SAFETY: the descriptor is open and ours; libsrt owns it from here on, also when it fails (then it leaks).
        check("take the UDP socket", unsafe { ffi::srt_bind_acquire(self.0, udp.into_raw_fd()) })
    }

    /// Takes callers, of which so many may wait for [`Socket::accept`]; each is shown to `hook` first.
    ///
    /// # Errors
    /// It has no UDP socket.
    pub fn listen(self, backlog: u16, hook: impl Hook + 'static) -> Result<(), Error> {
        // Leaked: libsrt's thread may call it until the process ends. There is one listener in a process.
        let hook: &'static mut Box<dyn Hook> = Box::leak(Box::new(Box::new(hook)));
        let opaque = ptr::from_mut(hook).cast::<c_void>();
        // SAFETY: `on_caller` gets `opaque`, which points to a `Box<dyn Hook>` that lives forever and is only shared from here on.
        check("set the hook", unsafe { ffi::srt_listen_callback(self.0, on_caller, opaque) })?;
        // SAFETY: plain values.
        check("listen", unsafe { ffi::srt_listen(self.0, backlog.into()) })
    }

    /// The next connected caller; `None` when there is none now.
    ///
    /// # Errors
    /// The listener is closed.
    pub fn accept(self) -> Result<Option<Socket>, Error> {
        // SAFETY: no address is asked for.
        let accepted = unsafe { ffi::srt_accept(self.0, ptr::null_mut(), ptr::null_mut()) };
        if accepted != ffi::INVALID {
            return Ok(Some(Self(accepted)));
        }
        nothing_yet(Error::last("accept")).map(|()| None)
    }

    /// Calls a listener and waits for its answer.
    ///
    /// # Errors
    /// [`Socket::rejection`] says more.
    pub fn connect(self, peer: SocketAddr) -> Result<(), Error> {
        let peer = SockAddr::from(peer);
        let length = c_int::try_from(peer.len()).unwrap_or(0);
        // SAFETY: the address and its length belong together and outlive the call.
        check("connect", unsafe { ffi::srt_connect(self.0, peer.as_ptr().cast(), length) })
    }

    /// Why a connect failed, with libsrt's words for it.
    pub fn rejection(self) -> (u32, String) {
        // SAFETY: plain values; the text is a constant of libsrt, or one for all codes that it does not know.
        let (code, text) = unsafe {
            let code = ffi::srt_getrejectreason(self.0);
            (code, CStr::from_ptr(ffi::srt_rejectreason_str(code)))
        };
        (u32::try_from(code).unwrap_or(0), text.to_string_lossy().into_owned())
    }

    /// One message into `buffer`, which has room for [`MESSAGE`]; `None` when there is none yet.
    ///
    /// # Errors
    /// The connection is over; what is still held back by the latency may yet come.
    pub fn receive(self, buffer: &mut [u8; MESSAGE]) -> Result<Option<usize>, Error> {
        // SAFETY: libsrt writes at most `MESSAGE` bytes to the buffer, which is as long.
        let length = unsafe { ffi::srt_recvmsg(self.0, buffer.as_mut_ptr().cast(), MESSAGE as c_int) };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length.min(MESSAGE))),
            Err(_) => nothing_yet(Error::last("receive")).map(|()| None),
        }
    }

    /// Sends one message of at most 1316 bytes.
    ///
    /// # Errors
    /// The connection is over, or, with [`Socket::set_nonblocking_send`], there is no room.
    pub fn send(self, message: &[u8]) -> Result<(), Error> {
        let length = c_int::try_from(message.len()).unwrap_or(c_int::MAX);
        // SAFETY: libsrt reads `length` bytes of the message, which has as many; it refuses more than its limit.
        check("send", unsafe { ffi::srt_send(self.0, message.as_ptr().cast(), length) })
    }

    /// Messages that were sent and have not been acknowledged: closing loses them. `None` when the connection is over.
    pub fn unacknowledged(self) -> Option<u32> {
        self.get(ffi::Option::SendBuffered).and_then(|count| u32::try_from(count).ok())
    }

    /// Messages that have come and are held back by the latency, up to the first that is missing; of a connection that is over, too.
    pub fn held_back(self) -> u32 {
        self.get(ffi::Option::ReceiveBuffered).and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
    }

    /// Ends the connection; the peer is told. What is still held back is lost.
    pub fn close(self) {
        // SAFETY: a plain value. An error means that it is closed already.
        unsafe { ffi::srt_close(self.0) };
    }

    /// The peer's version of SRT, of a connected socket.
    pub fn peer_version(self) -> u32 {
        self.get(ffi::Option::PeerVersion).map_or(0, i32::cast_unsigned)
    }

    /// As agreed, of a connected socket.
    pub fn latency(self) -> Duration {
        let millis = self.get(ffi::Option::ReceiveLatency).and_then(|millis| u64::try_from(millis).ok());
        Duration::from_millis(millis.unwrap_or(0))
    }

    /// What comes is encrypted, and can be read.
    pub fn is_encrypted(self) -> bool {
        self.get(ffi::Option::ReceiveKeyState) == Some(ffi::SECURED)
    }

    /// What the connection has been like, with the bit rate since the last call; `None` when it is over.
    pub fn stats(self) -> Option<srt_wire::Stats> {
        // SAFETY: all fields are numbers, for which zero bits are a value.
        let mut perf: ffi::Statistics = unsafe { std::mem::zeroed() };
        // SAFETY: libsrt fills in its `CBytePerfMon`, which begins as our struct does and is shorter (ffi.rs).
        if unsafe { ffi::srt_bistats(self.0, &mut perf, 1, 1) } == ffi::ERROR {
            return None;
        }
        let count = |n: c_int| u64::try_from(n).unwrap_or(0);
        Some(srt_wire::Stats {
            caller: self.number(),
            rtt_ms: perf.ms_rtt,
            // Negative and NaN become 0.
            bitrate_bps: (perf.mbps_recv_rate * 1e6) as u64,
            received: u64::try_from(perf.pkt_recv_total).unwrap_or(0),
            lost: count(perf.pkt_rcv_loss_total),
            // There is no total of these at the receiver.
            resent: count(perf.pkt_rcv_retrans),
            dropped: count(perf.pkt_rcv_drop_total),
            undecrypted: count(perf.pkt_rcv_undecrypt_total),
        })
    }

    fn set(self, option: ffi::Option, value: i32) -> Result<(), Error> {
        let value = ptr::from_ref(&value).cast::<c_void>();
        // SAFETY: these options take an `int`, or a `bool` for which libsrt takes an `int`, too.
        check("set an option", unsafe { ffi::srt_setsockflag(self.0, option as c_int, value, 4) })
    }

    fn set_text(self, option: ffi::Option, text: &str) -> Result<(), Error> {
        let length = c_int::try_from(text.len()).unwrap_or(c_int::MAX);
        // SAFETY: libsrt reads `length` bytes of the text, which has as many; it refuses more than its limits.
        let set = unsafe { ffi::srt_setsockflag(self.0, option as c_int, text.as_ptr().cast(), length) };
        check("set an option", set)
    }

    fn get(self, option: ffi::Option) -> Option<i32> {
        let (mut value, mut length) = (0_i32, 4);
        let out = ptr::from_mut(&mut value).cast::<c_void>();
        // SAFETY: these options give an `int`, of which `length` says the room.
        let got = unsafe { ffi::srt_getsockflag(self.0, option as c_int, out, &mut length) };
        (got != ffi::ERROR).then_some(value)
    }
}

/// Called by libsrt's thread for each handshake that has got as far as to show a stream id.
unsafe extern "C" fn on_caller(
    opaque: *mut c_void,
    socket: SrtSocket,
    _handshake_version: c_int,
    peer: *const sockaddr,
    stream_id: *const c_char,
) -> c_int {
    // SAFETY: `Socket::listen` set it to a `Box<dyn Hook>` that lives forever and is only shared; `Hook` is `Sync`.
    let hook = unsafe { &*opaque.cast::<Box<dyn Hook>>() };
    // SAFETY: libsrt gives a C string that outlives this call, in a buffer of its own with a zero at its end.
    let stream_id = unsafe { CStr::from_ptr(stream_id) }.to_bytes();
    // SAFETY: libsrt gives the address of the family that it names, and it outlives this call.
    let Some(peer) = (unsafe { address(peer) }) else { return ffi::ERROR };
    match hook.call(Socket(socket), peer, stream_id) {
        Ok(()) => 0,
        Err(code) => {
            // SAFETY: plain values; the socket is there while it is shown to us.
            unsafe { ffi::srt_setrejectreason(socket, code.into()) };
            ffi::ERROR
        }
    }
}

/// # Safety
/// `addr` points to an address that is as long as its family says.
unsafe fn address(addr: *const sockaddr) -> Option<SocketAddr> {
    // SAFETY: every address begins with its family.
    match c_int::from(unsafe { (*addr).sa_family }) {
        AF_INET => {
            // SAFETY: as long as its family says; libsrt's union is aligned for both.
            let v4 = unsafe { addr.cast::<sockaddr_in>().read_unaligned() };
            let ip = u32::from_be(v4.sin_addr.s_addr).into();
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { addr.cast::<sockaddr_in6>().read_unaligned() };
            let ip = v6.sin6_addr.s6_addr.into();
            let addr = SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id);
            Some(SocketAddr::new(addr.ip().to_canonical(), addr.port()))
        }
        _ => None,
    }
}

pub(crate) fn check(what: &'static str, result: c_int) -> Result<(), Error> {
    if result == ffi::ERROR { Err(Error::last(what)) } else { Ok(()) }
}

fn nothing_yet(error: Error) -> Result<(), Error> {
    if error.code == ffi::NOTHING_YET { Ok(()) } else { Err(error) }
}

pub(crate) fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

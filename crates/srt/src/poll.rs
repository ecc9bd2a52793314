use std::{ffi::c_int, time::Duration};

use crate::{
    ffi,
    socket::{Error, Socket, check, millis},
};

/// Sockets that are waited for together.
#[derive(Debug)]
pub struct Poll(c_int);

impl Poll {
    /// Waits for nothing yet.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn new() -> Result<Self, Error> {
        /// `SRT_EPOLL_ENABLE_EMPTY`: waiting for nothing is no error.
        const EMPTY: i32 = 1;
        // SAFETY: takes nothing.
        let epoll = unsafe { ffi::srt_epoll_create() };
        check("make a poll", epoll)?;
        // SAFETY: plain values.
        unsafe { ffi::srt_epoll_set(epoll, EMPTY) };
        Ok(Self(epoll))
    }

    /// [`Poll::wait`] returns when there is something to accept or to receive, or the connection is over.
    ///
    /// # Errors
    /// The socket is closed.
    pub fn add(&self, socket: Socket) -> Result<(), Error> {
        let events = ffi::EPOLL_IN | ffi::EPOLL_ERR;
        // SAFETY: libsrt reads one `int`.
        check("poll a socket", unsafe { ffi::srt_epoll_add_usock(self.0, socket.0, &events) })
    }

    /// Forgets a socket.
    pub fn remove(&self, socket: Socket) {
        // SAFETY: plain values. An error means that it is not there.
        unsafe { ffi::srt_epoll_remove_usock(self.0, socket.0) };
    }

    /// Waits for at most `timeout`, and gives the sockets to look at: some of them, if there are many.
    pub fn wait(&self, timeout: Duration) -> Vec<Socket> {
        /// Looked at in one turn.
        const TURN: usize = 64;
        let mut ready = [ffi::EpollEvent { fd: ffi::INVALID, events: 0 }; TURN];
        let timeout = i64::from(millis(timeout));
        // SAFETY: libsrt writes at most `TURN` events, for which there is room.
        let count = unsafe { ffi::srt_epoll_uwait(self.0, ready.as_mut_ptr(), TURN as c_int, timeout) };
        let count = usize::try_from(count).unwrap_or(0).min(TURN);
        ready[..count].iter().map(|event| Socket(event.fd)).collect()
    }
}

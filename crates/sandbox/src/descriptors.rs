use std::io;

/// The first descriptor that is not standard input, output or error.
const FIRST: libc::c_uint = 3;

/// Closes whatever a careless parent let through. Kernels before 5.9 cannot; the server leaves nothing open anyway.
pub(super) fn close_inherited() -> Result<(), String> {
    let all = libc::c_uint::MAX;
    // SAFETY: called first thing in `main`, before this process has opened any descriptor of its own.
    let result = unsafe { libc::syscall(libc::SYS_close_range, FIRST, all, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error().to_string()) }
}

use std::collections::BTreeMap;

use libc::{c_int, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Compare, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Denied whatever their arguments. `socketpair` is not here: GStreamer itself makes one.
const DENIED: &[c_long] = &[
    // other programs
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    // the network
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // files, beyond opening for reading
    libc::SYS_openat2,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_truncate,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_memfd_create,
    libc::SYS_fanotify_init,
    // the system
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_syslog,
    // kernel interfaces with a history
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
];

/// The older twins that only x86-64 has.
#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_creat,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_mknod,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[c_long] = &[libc::SYS_kexec_file_load];

/// x86-64's second table of system calls has the same numbers with this bit: a filter that forgets it denies nothing.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// Denies what a decoder and an encoder never need. A denied call fails with `EPERM`; `clone3`, whose flags a filter
/// cannot see, with `ENOSYS`, so that libc falls back to `clone`. With `devices` files may be opened for writing (not made,
/// not emptied): which ones is up to Landlock.
pub(super) fn apply(devices: bool) -> Result<(), String> {
    let install = |rules: Rules, errno: c_int| -> Result<(), seccompiler::Error> {
        let arch = TargetArch::try_from(std::env::consts::ARCH)?;
        let denied = SeccompAction::Errno(errno.unsigned_abs());
        let filter = SeccompFilter::new(both_tables(rules), SeccompAction::Allow, denied, arch)?;
        apply_filter(&BpfProgram::try_from(filter)?)
    };
    let denied = rules(devices).map_err(|error| error.to_string())?;
    let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
    install(clone3, libc::ENOSYS)
        .and_then(|()| install(denied, libc::EPERM))
        .map_err(|error| error.to_string())
}

#[cfg(target_arch = "x86_64")]
fn both_tables(rules: Rules) -> Rules {
    let twins = rules.clone().into_iter().map(|(number, rules)| (number | X32, rules));
    twins.chain(rules.clone()).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn both_tables(rules: Rules) -> Rules {
    rules
}

fn rules(devices: bool) -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = DENIED.iter().chain(DENIED_HERE).map(|number| (*number, Vec::new())).collect();
    rules.insert(libc::SYS_openat, writing(2, devices)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, writing(1, devices)?);
    // A thread is made by clone, a process as well.
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    rules.insert(libc::SYS_clone, vec![rule(0, Compare::MaskedEq(thread), 0)?]);
    // abort() signals its own process.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, vec![rule(0, Compare::Ne, own)?]);
    // Limits of other processes; 0 is this one.
    rules.insert(libc::SYS_prlimit64, vec![rule(0, Compare::Ne, 0)?]);
    Ok(rules)
}

/// Opening in any way but for reading, with the flags in argument `at`; with `devices` only making and emptying files.
fn writing(at: u8, devices: bool) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let bits = |flags: c_int| u64::from(flags.unsigned_abs());
    let access = bits(libc::O_ACCMODE);
    let mut denied = vec![
        rule(at, Compare::MaskedEq(bits(libc::O_CREAT)), bits(libc::O_CREAT))?,
        rule(at, Compare::MaskedEq(bits(libc::O_TRUNC)), bits(libc::O_TRUNC))?,
    ];
    if !devices {
        denied.push(rule(at, Compare::MaskedEq(access), bits(libc::O_WRONLY))?);
        denied.push(rule(at, Compare::MaskedEq(access), bits(libc::O_RDWR))?);
    }
    Ok(denied)
}

fn rule(argument: u8, compare: Compare, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, Length::Dword, compare, value)?])
}

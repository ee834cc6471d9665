//! i386's two calls that stand for many: their first argument says which one is meant.

/// What socketcall stands for (`include/uapi/linux/net.h`), in the names of other ABIs.
const SOCKETCALL: [&str; 18] = [
    "accept",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "socket",
    "socketpair",
];

/// What ipc stands for (`include/uapi/linux/ipc.h`).
const IPC: [&str; 12] = [
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
];

/// The call that stands for this one, too.
pub(super) fn multiplexer(name: &str) -> Option<&'static str> {
    if SOCKETCALL.contains(&name) { Some("socketcall") } else { IPC.contains(&name).then_some("ipc") }
}

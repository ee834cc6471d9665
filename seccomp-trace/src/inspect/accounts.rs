//! Where a static program looks up users, groups and host names.

/// Makes glibc look into files (and ask DNS) alone, where we are linked with it statically. What else nsswitch.conf may
/// name, such as systemd or LDAP, are libraries, and they bring a second C library along: the program then crashes.
///
/// Called before anything is looked up.
pub fn use_files_only() {
    #[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
    for (database, service) in
        [(c"passwd", c"files"), (c"group", c"files"), (c"initgroups", c"files"), (c"hosts", c"files dns")]
    {
        unsafe extern "C" {
            /// glibc's nss.h.
            fn __nss_configure_lookup(
                database: *const libc::c_char,
                service: *const libc::c_char,
            ) -> libc::c_int;
        }
        // SAFETY: C strings, which glibc may keep. It fails for unknown names alone, and these are known.
        unsafe { __nss_configure_lookup(database.as_ptr(), service.as_ptr()) };
    }
}

/// Who is not found by name, and what to do then.
pub const UNKNOWN: &str = if cfg!(all(target_env = "gnu", target_feature = "crt-static")) {
    "in /etc/passwd (this program is linked statically, and asks no other service; `id` tells the numbers)"
} else {
    "on this machine (`getent passwd` lists them)"
};

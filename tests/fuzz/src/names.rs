//! Names from containers and engines: none reaches a terminal or a file name but sanitised.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seccomp_trace::{engine::cgroup_path, recording::file_name::file_name, report::text};

fuzz_target!(|name: &str| {
    let shown = text::sanitise(name);
    assert!(!shown.chars().any(char::is_control), "a terminal would obey {shown:?}");
    let file = file_name(name);
    assert!(!file.is_empty() && file.len() <= 255 && !file.starts_with('.'), "{file:?}");
    assert!(!file.contains(['/', '\0']), "{file:?}");
    let _ = cgroup_path::container(name);
});

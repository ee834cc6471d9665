//! Runtimes that run a container's calls in a kernel of their own, where the host's tracepoints do not
//! see them. Pure: judged by the runtime's name alone.

/// What stands between a container and the host's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// The container's calls are served by another kernel: the host sees the sandbox's own. No recording
    /// of it would be true.
    Refuse(&'static str),
    /// The host sees the calls, but the runtime answers some of them itself.
    Warn(&'static str),
}

impl Sandbox {
    /// One sentence for the user, on a container called `container` (already sanitised).
    pub fn message(self, container: &str) -> String {
        match self {
            Self::Refuse(product) => format!(
                "{container} runs in {product}, whose own kernel serves its system calls: the host can't see them; \
                 record it under runc or crun"
            ),
            Self::Warn(product) => format!(
                "{container} runs in {product}, which answers some system calls itself: try the profile under {product}"
            ),
        }
    }
}

/// What is known of a runtime, by the name that an engine calls it: `runsc`, `io.containerd.kata.v2`,
/// a path. `None` for those that leave the calls to the host's kernel.
pub fn sandbox(runtime: &str) -> Option<Sandbox> {
    let file = runtime.rsplit('/').next().unwrap_or(runtime).to_ascii_lowercase();
    let name = file.strip_prefix("io.containerd.").unwrap_or(&file);
    let name = name.strip_prefix("containerd-shim-").unwrap_or(name);
    // A variant is named after its product: runsc-kvm, kata-qemu, kata-fc, sysbox-runc.
    let product = name.split(['-', '.', '_']).next().unwrap_or(name);
    match product {
        "runsc" | "gvisor" => Some(Sandbox::Refuse("gVisor")),
        "kata" => Some(Sandbox::Refuse("Kata Containers")),
        "krun" => Some(Sandbox::Refuse("libkrun")),
        "firecracker" => Some(Sandbox::Refuse("Firecracker")),
        "aws" if name.starts_with("aws.firecracker") => Some(Sandbox::Refuse("Firecracker")),
        "sysbox" => Some(Sandbox::Warn("Sysbox")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_of_their_own_are_refused() {
        for runtime in ["runsc", "runsc-kvm", "/usr/local/bin/runsc", "io.containerd.runsc.v1", "gvisor"] {
            assert_eq!(sandbox(runtime), Some(Sandbox::Refuse("gVisor")), "{runtime}");
        }
        for runtime in [
            "kata",
            "kata-runtime",
            "kata-qemu",
            "io.containerd.kata.v2",
            "io.containerd.kata-fc.v2",
            "Kata-clh",
        ] {
            assert_eq!(sandbox(runtime), Some(Sandbox::Refuse("Kata Containers")), "{runtime}");
        }
        assert_eq!(sandbox("aws.firecracker"), Some(Sandbox::Refuse("Firecracker")));
    }

    #[test]
    fn sysbox_is_warned_about() {
        assert_eq!(sandbox("sysbox-runc"), Some(Sandbox::Warn("Sysbox")));
    }

    #[test]
    fn the_others_pass() {
        for runtime in [
            "",
            "/",
            "runc",
            "/usr/bin/crun",
            "io.containerd.runc.v2",
            "youki",
            "nvidia",
            "my-kata",
            "katana",
            "äö",
        ] {
            assert_eq!(sandbox(runtime), None, "{runtime}");
        }
    }

    #[test]
    fn a_message_names_the_container_and_the_product() {
        assert!(Sandbox::Refuse("gVisor").message("web").contains("web runs in gVisor"));
    }
}

//! What the kernel program needs of the running kernel, asked beforehand: all that is missing is said in one message.

use std::{fs, path::Path};

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported},
};

use super::btf::VMLINUX;

/// The kernel's own word about what it keeps from root (securityfs, `lockdown(7)`).
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// The youngest of the helpers that are called; the others are older than all of them.
const HELPERS: [(BpfHelper, &str); 6] = [
    (BpfHelper::BPF_FUNC_probe_read_kernel, "bpf_probe_read_kernel"),
    (BpfHelper::BPF_FUNC_ktime_get_boot_ns, "bpf_ktime_get_boot_ns"),
    (BpfHelper::BPF_FUNC_ringbuf_output, "bpf_ringbuf_output"),
    (BpfHelper::BPF_FUNC_get_current_task_btf, "bpf_get_current_task_btf"),
    (BpfHelper::BPF_FUNC_task_pt_regs, "bpf_task_pt_regs"),
    (BpfHelper::BPF_FUNC_loop, "bpf_loop"),
];

/// Are BPF programs compiled? Without that, the kernel refuses programs that call back (`bpf_loop`).
const COMPILER: &str = "/proc/sys/net/core/bpf_jit_enable";

/// What this kernel lacks, each with what to do; what it does not say is found when the program is loaded.
#[must_use]
pub fn missing_features() -> Vec<String> {
    let mut missing_features = Vec::new();
    if !Path::new(VMLINUX).exists() {
        missing_features.push(format!("kernel BTF not found at {VMLINUX}; it needs CONFIG_DEBUG_INFO_BTF=y"));
    }
    let lockdown = fs::read_to_string(LOCKDOWN).unwrap_or_default();
    if hides_memory(&lockdown) {
        missing_features.push(
            "the kernel is in lockdown mode `confidentiality`, in which no program may read its memory: \
             boot it with lockdown=integrity or less"
                .into(),
        );
        // It has no helper that does.
        return missing_features;
    }
    if matches!(is_program_supported(ProgramType::RawTracePoint), Ok(false)) {
        missing_features
            .push("the kernel takes no BPF programs at raw tracepoints: it needs CONFIG_BPF_EVENTS".into());
        return missing_features;
    }
    if matches!(is_map_supported(MapType::RingBuf), Ok(false)) {
        missing_features.push("the kernel has no BPF ring buffer".into());
    }
    if fs::read_to_string(COMPILER).is_ok_and(|enabled| enabled.trim() == "0") {
        missing_features
            .push("the kernel's compiler of BPF programs is off: sysctl -w net.core.bpf_jit_enable=1".into());
    }
    for (helper, name) in HELPERS {
        if matches!(is_helper_supported(ProgramType::RawTracePoint, helper), Ok(false)) {
            missing_features.push(format!("the kernel has no BPF helper {name}"));
        }
    }
    missing_features
}

/// Is that mode the one in brackets?
fn hides_memory(lockdown: &str) -> bool {
    lockdown.contains("[confidentiality]")
}

#[cfg(test)]
mod tests {
    use super::hides_memory;

    #[test]
    fn the_mode_in_brackets_counts() {
        assert!(hides_memory("none integrity [confidentiality]\n"));
        assert!(!hides_memory("none [integrity] confidentiality\n"));
        assert!(!hides_memory("[none] integrity confidentiality\n"));
        assert!(!hides_memory(""));
    }
}

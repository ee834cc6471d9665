//! A host that can't trace: told in one message, before anything is started.

use crate::{
    common::{LIMIT, TestEnv, expect, preempts},
    support::{self, Need, Trial},
};
use anyhow::{Result, bail, ensure};
use std::{env, fs, os::unix::fs::PermissionsExt as _};

pub fn tests() -> Vec<Trial> {
    vec![
        support::test("a_kernel_that_lacks_something_is_refused", &[], lacking),
        support::test("without_privileges_the_missing_ones_are_named", &[Need::Kernel], || {
            let nobody = "exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \"$@\"";
            refused(nobody, &["CAP_BPF", "CAP_PERFMON", "sudo seccomp-trace"])
        }),
        support::test("root_without_capabilities_is_told_which", &[Need::Kernel], || {
            let weak = "exec setpriv --bounding-set=-sys_admin,-bpf --inh-caps=-all \"$@\"";
            refused(weak, &["missing CAP_BPF;"])
        }),
        support::test("without_btf_that_is_said", &[Need::Kernel], || {
            let without = "mount -t tmpfs none /sys/kernel/btf && exec \"$@\"";
            refused_in_private_mounts(without, &["/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF"])
        }),
        support::test("damaged_btf_is_no_crash", &[Need::Kernel], || {
            let damaged = "mount -t tmpfs none /mnt && head -c 5000 /sys/kernel/btf/vmlinux >/mnt/vmlinux && \
                 mount --bind /mnt /sys/kernel/btf && exec \"$@\"";
            refused_in_private_mounts(damaged, &["type information"])
        }),
        support::test("without_tracefs_that_is_said_where_it_is_needed", &[Need::Kernel], || {
            let without = "mount -t tmpfs none /sys/kernel/debug; mount -t tmpfs none /sys/kernel/tracing && exec \"$@\"";
            if preempts()? {
                return refused_in_private_mounts(without, &["mount -t tracefs"]);
            }
            let case = TestEnv::new()?;
            let script = in_private_mounts(without);
            let output = support::run_with_timeout(
                &mut case.in_script(&script, &case.run_words(&[], &["true"])),
                LIMIT,
            )?;
            expect(&output, 0, &[])
        }),
        support::test("without_cgroup_v2_that_is_said", &[Need::Kernel], || {
            let without = "for i in 1 2 3; do
                 awk '$9 == \"cgroup2\" || $10 == \"cgroup2\" || $8 == \"cgroup2\" {print $5}' /proc/self/mountinfo |
                     while read -r mount; do umount -l \"$mount\"; done
             done; exec \"$@\"";
            refused_in_private_mounts(without, &["no cgroup v2", "mount -t cgroup2"])?;
            let both = format!("mount -t tmpfs none /sys/kernel/btf; {without}");
            refused_in_private_mounts(&both, &["/sys/kernel/btf/vmlinux", "; and no cgroup v2"])
        }),
    ]
}

/// Of virtual machines xtask says what they lack. Elsewhere a kernel calls itself an older one.
fn lacking() -> Result<()> {
    let oldest = if cfg!(target_arch = "aarch64") { "5.18 or newer" } else { "5.17 or newer" };
    match env::var("SECCOMP_TRACE_LACKS").unwrap_or_default().as_str() {
        "version" => refused("exec \"$@\"", &["kernel 5.10.", "is too old", oldest]),
        "lockdown" => {
            refused("exec \"$@\"", &["this machine can't trace", "lockdown mode", "lockdown=integrity"])
        }
        "" => refused("exec setarch --uname-2.6 \"$@\"", &["kernel 2.6.", "is too old", oldest]),
        other => bail!("SECCOMP_TRACE_LACKS={other}: no test knows what that is"),
    }
}

fn refused_in_private_mounts(script: &str, words: &[&str]) -> Result<()> {
    refused(&in_private_mounts(script), words)
}

/// A script that runs this one with mounts of its own.
fn in_private_mounts(script: &str) -> String {
    let script = script.replace('\'', "'\\''");
    format!("exec unshare -m sh -c '{script}' \"$0\" \"$@\"")
}

/// With each command that traces: the words are said, nothing is started, nothing is left. The script gets
/// the command line to execute as its arguments.
fn refused(script: &str, words: &[&str]) -> Result<()> {
    let case = TestEnv::new()?;
    fs::set_permissions(case.folder.path(), fs::Permissions::from_mode(0o777))?;
    let (started, profile) = (case.file("started"), case.file("profile.json"));
    let run = case.run_words(&[], &["touch", &started]);
    let record = ["record", "--cgroup", &case.home.path].map(str::to_owned);
    let with_command = ["-o", &profile, "--", "touch", &started].map(str::to_owned);
    for (args, code) in [(run, 125), (record.to_vec(), 2), ([record.as_slice(), &with_command].concat(), 125)]
    {
        let output = support::run_with_timeout(&mut case.in_script(script, &args), LIMIT)?;
        expect(&output, code, words)?;
        ensure!(output.stdout.is_empty(), "{:?}", output.stdout);
        ensure!(case.files()? == [""; 0], "{:?}", case.files()?);
        case.is_clean()?;
    }
    Ok(())
}

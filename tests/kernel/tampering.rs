//! Who may write the kernel program's maps: root of the host for BPF. That is told, and what it has written is found.

use crate::{
    common::{TestEnv, bare, expect, with_libc},
    support::{self, Need, Trial},
};
use anyhow::{Result, ensure};

pub fn tests() -> Vec<Trial> {
    let needs = &[Need::Kernel, Need::Cc];
    vec![
        support::test("bpf_by_whoever_may_write_our_maps_is_told", needs, told),
        support::test("written_maps_make_a_recording_incomplete", needs, written),
    ]
}

fn codes(case: &TestEnv) -> Result<Vec<String>> {
    Ok(case.recording()?.warnings.into_iter().map(|its| its.code).collect())
}

/// Also where it was called before by somebody who may not.
fn told() -> Result<()> {
    let case = TestEnv::new()?;
    let program = bare(&case, "bpf", "call(__NR_bpf, -1, 0, 0);")?;
    let other = bare(&case, "other", "call(__NR_setresuid, 65534, 65534, 65534); call(__NR_bpf, -1, 0, 0);")?;
    expect(&case.run(&[], &[&other])?, 0, &[])?;
    ensure!(!codes(&case)?.contains(&"could-tamper".to_owned()), "{:?}", codes(&case)?);
    let both = format!("{other}; {other}; {program}");
    for (options, code) in [(&[][..], 0), (&["--strict"], 125)] {
        expect(&case.run(options, &["sh", "-c", &both])?, code, &["CAP_SYS_ADMIN", "bpf(2)"])?;
        ensure!(codes(&case)?.contains(&"could-tamper".to_owned()), "{:?}", codes(&case)?);
    }
    Ok(())
}

/// It finds the set that has its own two odd numbers, hides a call that it will make, and takes back one that it has made. The map's first value:
/// for each of five sets and three ABIs 512 bytes.
fn written() -> Result<()> {
    let case = TestEnv::new()?;
    let source = "#include <linux/bpf.h>\n#include <string.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n
        static unsigned char sets[5 * 3 * 512 + 8];
        static long bpf(int command, union bpf_attr *attr) { return syscall(SYS_bpf, command, attr, sizeof *attr); }
        int main(void) {
            unsigned id = 0, key = 0;
            syscall(497); syscall(509); syscall(SYS_times, 0);
            /* Until its first calls are in a checkpoint. */
            sleep(3);
            for (;;) {
                union bpf_attr next = { .start_id = id };
                if (bpf(BPF_MAP_GET_NEXT_ID, &next)) return 1;
                id = next.next_id;
                union bpf_attr get = { .map_id = id };
                int map = bpf(BPF_MAP_GET_FD_BY_ID, &get);
                if (map < 0) continue;
                struct bpf_map_info info;
                memset(&info, 0, sizeof info);
                union bpf_attr ask = { .info = { .bpf_fd = map, .info_len = sizeof info, .info = (unsigned long)&info } };
                union bpf_attr value = { .map_fd = map, .key = (unsigned long)&key, .value = (unsigned long)sets };
                if (!bpf(BPF_OBJ_GET_INFO_BY_FD, &ask) && !strcmp(info.name, \"SETS\") && info.value_size == sizeof sets
                    && !bpf(BPF_MAP_LOOKUP_ELEM, &value) && sets[497] & 1 && sets[509] & 1) {
                    sets[SYS_getpriority] |= 2;
                    sets[SYS_times] = 0;
                    if (bpf(BPF_MAP_UPDATE_ELEM, &value)) return 2;
                    syscall(SYS_getpriority, 0, 0);
                    return 0;
                }
                close(map);
            }
        }";
    let program = with_libc(&case, "tamperer", source)?;
    expect(&case.run(&[], &[&program])?, 125, &["2 syscalls are lost", "has written the maps"])?;
    let recording = case.recording()?;
    ensure!(recording.lost.syscalls == 2, "{:?}", recording.lost);
    let seen = crate::common::names(
        &recording,
        crate::common::NATIVE,
        seccomp_trace::recording::Origin::Application,
    );
    // What was seen once is never taken back.
    ensure!(seen.contains("times") && !seen.contains("getpriority"), "{seen:?}");
    Ok(())
}

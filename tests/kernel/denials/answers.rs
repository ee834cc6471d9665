//! Every answer that a filter can give, by ABI, and what becomes of it in the profile.

use super::{NEEDS, numbered, run_under};
use crate::{
    common::{NATIVE, TestEnv, allowed, bare, expect, set, stderr, with_libc},
    support::{
        self, Trial,
        denials::{denied, times},
    },
};
use anyhow::{Result, ensure};
use seccomp_trace::recording::Origin;
use serde_json::Value;

/// What the tests' programs call beside their start and end.
const MARKERS: &str = "call(__NR_getitimer, 0, 0, 0); call(__NR_times, 0, 0, 0); call(__NR_times, 0, 0, 0);
    call(__NR_getpriority, 0, 0, 0); call(__NR_getppid, 0, 0, 0);";

pub fn tests() -> Vec<Trial> {
    vec![
        support::test("an_errno_is_told_with_its_count", NEEDS, errnos),
        support::test("a_denied_call_stays_denied_in_the_profile", NEEDS, rules),
        support::test("denials_of_a_program_s_own_filter_make_no_rule", NEEDS, own),
        support::test("no_denials_looks_for_none", NEEDS, not_looked_for),
        support::test("a_killed_process_is_told", NEEDS, || {
            let case = TestEnv::new()?;
            let program = bare(&case, "killed", MARKERS)?;
            let (recording, _) = run_under(&case, &["times=80000000"], &[], &[&program], 159)?;
            ensure!(denied(&recording) == times([("times killed", 1)]), "{:?}", denied(&recording));
            Ok(())
        }),
        support::test("a_killed_thread_is_told", NEEDS, killed_thread),
        support::test("a_trap_and_a_value_are_told", NEEDS, trap_and_value),
        #[cfg(target_arch = "x86_64")]
        support::test("denied_32_bit_and_x32_calls_are_told_by_their_abi", NEEDS, abis),
        support::test("numbers_without_a_name_are_denied_by_number", NEEDS, || {
            let case = TestEnv::new()?;
            let program =
                bare(&case, "odd", "call(700, 0, 0, 0); call(4000000, 0, 0, 0); call(701, 0, 0, 0);")?;
            let (recording, _) = run_under(&case, &["700=50001", "4000000=50026"], &[], &[&program], 0)?;
            let expected = [("700 EPERM", 1), ("4000000 ENOSYS", 1)];
            let expected = expected.map(|(answer, count)| (format!("{NATIVE} {answer}"), count));
            ensure!(denied(&recording) == expected.into(), "{:?}", denied(&recording));
            Ok(())
        }),
        support::test("more_denials_than_can_be_kept_are_told", NEEDS, many),
        support::test("every_denial_is_counted_of_threads_at_once", NEEDS, counted),
        support::test("a_call_that_a_signal_takes_from_its_supervisor_is_told_once", NEEDS, || {
            let case = TestEnv::new()?;
            let program = with_libc(&case, "supervised", include_str!("supervised.c"))?;
            expect(&case.run(&[], &[&program])?, 0, &[])?;
            let recording = case.recording()?;
            ensure!(denied(&recording) == times([("supervised times EIO", 1)]), "{:?}", denied(&recording));
            // The kernel would take a denial before it asks the supervisor.
            ensure!(allowed(&case.profile()?).contains("times"), "{}", case.profile()?);
            Ok(())
        }),
        support::test("a_denial_is_told_between_processors", NEEDS, || {
            let case = TestEnv::new()?;
            let program = with_libc(&case, "processors", include_str!("processors.c"))?;
            let (recording, _) = run_under(&case, &["times=50001"], &[], &[&program], 0)?;
            ensure!(denied(&recording) == times([("times EPERM", 20)]), "{:?}", denied(&recording));
            Ok(())
        }),
    ]
}

fn errnos() -> Result<()> {
    let case = TestEnv::new()?;
    let program = bare(&case, "denied", MARKERS)?;
    let (recording, output) =
        run_under(&case, &["times=50001", "getpriority=50026", "getitimer=5000d"], &[], &[&program], 0)?;
    let expected = times([("getitimer EACCES", 1), ("times EPERM", 2), ("getpriority ENOSYS", 1)]);
    ensure!(denied(&recording) == expected, "{:?}", denied(&recording));
    for (_, denial) in recording.denials() {
        ensure!(denial.comm == "denied", "{denial:?}");
        ensure!((recording.start..=recording.end).contains(&denial.first_seen), "{denial:?}");
    }
    // Not among what was made, and said once, with what to do.
    let seen = crate::common::names(&recording, NATIVE, Origin::Application);
    ensure!(seen == set(["getppid", "exit_group"]), "{seen:?}");
    expect(&output, 0, &["times (EPERM, 2 times)", "getpriority (ENOSYS, once)", "tracing-profile"])?;
    ensure!(stderr(&output).matches("getpriority (ENOSYS, once)").count() == 1, "{}", stderr(&output));
    let codes: Vec<_> = recording.warnings.iter().map(|warning| warning.code.as_str()).collect();
    ensure!(codes.contains(&"denied"), "{codes:?}");
    // Less than exact.
    run_under(&case, &["times=50001"], &["--strict"], &[&program], 125)?;
    Ok(())
}

/// The errno of a name's rule.
fn errno_of(profile: &Value, name: &str) -> Option<u64> {
    let rules = profile["syscalls"].as_array()?;
    let has =
        |rule: &&Value| rule["names"].as_array().is_some_and(|names| names.contains(&Value::from(name)));
    let rule = rules.iter().find(has)?;
    (rule["action"] == "SCMP_ACT_ERRNO").then(|| rule["errnoRet"].as_u64())?
}

fn rules() -> Result<()> {
    let case = TestEnv::new()?;
    let program = bare(&case, "denied", MARKERS)?;
    let answers = ["times=50001", "getpriority=50026", "getitimer=5000d"];
    run_under(&case, &answers, &[], &[&program], 0)?;
    let profile = case.profile()?;
    for (name, errno) in [("times", None), ("getpriority", Some(38)), ("getitimer", Some(13))] {
        // No rule says what the default does.
        ensure!(errno_of(&profile, name) == errno, "{name}: {profile}");
        ensure!(!allowed(&profile).contains(name));
    }
    run_under(&case, &answers, &["--allow-denied", "--verbose"], &[&program], 0)
        .and_then(|(_, output)| expect(&output, 0, &["allow times: denied while it was recorded (EPERM)"]))?;
    let profile = case.profile()?;
    for name in ["times", "getpriority", "getitimer"] {
        ensure!(allowed(&profile).contains(name) && errno_of(&profile, name).is_none(), "{name}: {profile}");
    }
    Ok(())
}

/// Loaded after the command's start: it may be the program's own.
fn own() -> Result<()> {
    let case = TestEnv::new()?;
    let filter = with_libc(&case, "filter", include_str!("filter.c"))?;
    let program = bare(&case, "denied", MARKERS)?;
    let answers = ["times=50001", "getpriority=50026"].map(numbered);
    let command = [filter.as_str(), &answers[0], &answers[1], "--", &program];
    let output = case.run(&["--allow-denied", "--strict"], &command)?;
    expect(&output, 0, &["denied by a filter that the program loads itself: ", "times (EPERM, 2 times)"])?;
    let recording = case.recording()?;
    ensure!(denied(&recording) == times([("own times EPERM", 2), ("own getpriority ENOSYS", 1)]));
    let profile = case.profile()?;
    for name in ["times", "getpriority"] {
        ensure!(!allowed(&profile).contains(name) && errno_of(&profile, name).is_none(), "{name}: {profile}");
    }
    // The inherited one's and its own are told apart.
    let (recording, _) = run_under(&case, &["getitimer=50001"], &[], &command, 0)?;
    let all = denied(&recording);
    let expected = [("own times EPERM", 2), ("own getpriority ENOSYS", 1), ("getitimer EPERM", 1)];
    ensure!(all == times(expected), "{all:?}");
    // Who loads a filter beside the container's is denied by the container's all the same, and that can be let in.
    let options = ["--allow-denied"];
    run_under(&case, &["getitimer=50001"], &options, &command, 0)?;
    ensure!(allowed(&case.profile()?).contains("getitimer"), "{}", case.profile()?);
    Ok(())
}

fn not_looked_for() -> Result<()> {
    let case = TestEnv::new()?;
    let program = bare(&case, "marked", MARKERS)?;
    let (recording, output) = run_under(&case, &["times=50001"], &["--no-denials"], &[&program], 0)?;
    ensure!(recording.denied.is_none(), "{:?}", recording.denied);
    ensure!(!stderr(&output).contains("denied"), "{}", stderr(&output));
    let (recording, _) = run_under(&case, &[], &[], &[&program], 0)?;
    ensure!(recording.denied.as_ref().is_some_and(|denied| denied.is_empty()), "{:?}", recording.denied);
    Ok(())
}

/// No exit of its call is seen: only its end.
fn killed_thread() -> Result<()> {
    let case = TestEnv::new()?;
    let source = "#include <pthread.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n
        static void *victim(void *nothing) { syscall(SYS_times, 0); return nothing; }
        int main(void) {
            pthread_t thread;
            for (int turn = 0; turn < 3; turn++) {
                pthread_create(&thread, 0, victim, 0);
                pthread_join(thread, 0);
            }
            return 0;
        }";
    let program = with_libc(&case, "threads", &format!("#define _GNU_SOURCE\n{source}"))?;
    let (recording, _) = run_under(&case, &["times=0"], &[], &[&program], 0)?;
    ensure!(denied(&recording) == times([("times killed", 3)]), "{:?}", denied(&recording));
    Ok(())
}

fn trap_and_value() -> Result<()> {
    let case = TestEnv::new()?;
    let source = "#define _GNU_SOURCE\n#include <signal.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n
        static void handler(int signal) { (void)signal; }
        int main(void) {
            signal(SIGSYS, handler);
            syscall(SYS_times, 0);
            /* What could be taken for an errno comes back on aarch64. */
            syscall(SYS_times, -100L);
            return syscall(SYS_getpriority, 0, 0);
        }";
    let program = with_libc(&case, "trapped", source)?;
    let (recording, output) = run_under(&case, &["times=30000", "getpriority=50000"], &[], &[&program], 0)?;
    let expected = times([("times SIGSYS", 2), ("getpriority answered with a value", 1)]);
    ensure!(denied(&recording) == expected, "{:?}", denied(&recording));
    expect(&output, 0, &["times (SIGSYS; EPERM from now on)"])
}

#[cfg(target_arch = "x86_64")]
fn abis() -> Result<()> {
    use anyhow::Context as _;
    let case = TestEnv::new()?;
    // By the i386 table: times is 43, getpriority 96. By x32's, times is x86_64's.
    let body = "call_compat(43); call_compat(43); call_compat(96); call(0x40000000 | 100, 0, 0, 0); call(__NR_times, 0, 0, 0);";
    let program = bare(&case, "mixed", body)?;
    let answers = ["32:times=50001", "1073741924=50026"];
    let (recording, _) = run_under(&case, &answers, &[], &[&program], 0)?;
    let expected = times([("i386 times EPERM", 2), ("x32 times ENOSYS", 1)]);
    ensure!(denied(&recording) == expected, "{:?}", denied(&recording));
    // A whole 32-bit program, which is killed.
    let program = crate::common::bare_32_bit(&case, "all32", "call(43, 0, 0, 0);")?;
    let (recording, _) = run_under(&case, &["32:times=80000000"], &["--runtimes", "exact"], &[&program], 159)
        .context("a 32-bit program")?;
    ensure!(denied(&recording) == times([("i386 times killed", 1)]), "{:?}", denied(&recording));
    Ok(())
}

fn many() -> Result<()> {
    let case = TestEnv::new()?;
    // Everything but what its end needs: a filter of one comparison is not enough, so the numbers are the errnos'.
    let source =
        "#define _GNU_SOURCE\n#include <linux/filter.h>\n#include <linux/seccomp.h>\n#include <stddef.h>\n
        #include <sys/syscall.h>\n#include <unistd.h>\n
        int main(void) {
            struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 1000, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
            };
            struct sock_fprog program = { 4, code };
            if (syscall(SYS_seccomp, 1, 0, &program)) return 99;
            for (long number = 1000; number < 1000 + 1500; number++) syscall(number);
            return 0;
        }";
    let program = with_libc(&case, "many", source)?;
    let output = case.run(&[], &[&program])?;
    expect(&output, 0, &["476 denials were lost"])?;
    let recording = case.recording()?;
    ensure!(recording.denials().count() == 1024 && recording.lost.denials == 476, "{:?}", recording.lost);
    ensure!(!recording.is_incomplete());
    expect(&case.run(&["--strict"], &[&program])?, 125, &["denials are lost"])
}

/// Atomically: more threads than processors, each with fifty thousand.
fn counted() -> Result<()> {
    let case = TestEnv::new()?;
    let body = "for (int n = 0; n < 3; n++) call(__NR_clone, 17, 0, 0);
        for (int n = 0; n < 50000; n++) call(__NR_times, 0, 0, 0);
        while (call(__NR_wait4, -1, 0, 0) > 0) {}";
    let program = bare(&case, "eight", body)?;
    let (recording, _) = run_under(&case, &["times=50001"], &["--ring-buffer", "4096"], &[&program], 0)?;
    ensure!(denied(&recording) == times([("times EPERM", 400000)]), "{:?}", denied(&recording));
    Ok(())
}

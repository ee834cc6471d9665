//! Watches a container in the kernel and writes its seccomp profile: see the library.

fn main() -> std::process::ExitCode {
    seccomp_trace::cli::main()
}

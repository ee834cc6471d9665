//! `seccomp-trace tracing-profile`: the allow-all profile to run a container under while it is recorded.

use anyhow::Context as _;

use super::ExitStatus;
use super::output::Output;
use super::printer::Printer;
use crate::abi::Abi;
use crate::format::oci;

/// Print the allow-all profile to run a container under while it is recorded
///
/// The container then has a seccomp filter, whose loading marks exactly from where on its calls count,
/// and nothing is denied:
///
///   seccomp-trace tracing-profile -o tracing.json
///   docker run --security-opt seccomp=tracing.json IMAGE
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Where to write the profile; - is stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: Output,
}

/// Writes the profile with every ABI of this machine: one left out would be killed.
///
/// # Errors
/// Where this machine's ABIs are unknown, or the profile can't be written.
pub fn run(args: Args, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let uname = rustix::system::uname();
    let machine = uname.machine().to_string_lossy();
    let abis = Abi::of_machine(&machine).with_context(|| {
        format!("the ABIs of this machine ({machine}) are unknown; x86_64 and aarch64 are supported")
    })?;
    args.output.write(oci::tracing_profile(abis).as_bytes(), printer)?;
    Ok(ExitStatus::Success)
}

//! A recording from a stranger: what is read is written and read again the same, and becomes a profile without a crash.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seccomp_trace::format::oci;
use seccomp_trace::profile::{Options, build};
use seccomp_trace::recording::Recording;

fuzz_target!(|json: &[u8]| {
    let Ok(recording) = Recording::parse(json) else { return };
    let written = recording.to_json();
    let again = Recording::parse(written.as_bytes());
    assert!(again.is_ok_and(|again| again == recording), "what is written is not what was read: {written}");
    if let Ok((profile, _)) = build(&[recording], &Options::default()) {
        assert!(oci::write(&profile).ends_with('\n'));
    }
});

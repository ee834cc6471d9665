//! Every name and number, against the table's own logic; `tests/kernel` compares them with libseccomp.

use std::collections::BTreeMap;

use super::Abi;

#[test]
fn a_name_and_its_number_find_each_other() {
    for abi in Abi::ALL {
        let mut numbers = BTreeMap::new();
        for (number, name) in abi.syscalls() {
            assert_eq!(abi.number(name), Some(number), "{abi} {name}");
            assert_eq!(numbers.insert(name, number), None, "{abi} has {name} twice");
        }
    }
}

#[test]
fn the_tables_have_the_size_of_the_kernels() {
    let count = |abi: Abi| abi.syscalls().count();
    // The kernel's table of 6.18 to 7.0 has that many entries with a function of their own.
    assert_eq!(count(Abi::X86_64), 385);
    assert_eq!(count(Abi::I386), 461);
    assert_eq!(count(Abi::X32), 385 - 48 + 36);
}

#[test]
fn known_numbers_have_their_names() {
    for (abi, number, name) in [
        (Abi::X86_64, 0, Some("read")),
        (Abi::X86_64, 262, Some("newfstatat")),
        (Abi::X86_64, 335, Some("uretprobe")),
        (Abi::X86_64, 470, Some("listns")),
        (Abi::X86_64, 471, Some("rseq_slice_yield")),
        (Abi::X86_64, 472, None),
        (Abi::X86_64, 512, None),
        (Abi::X86_64, u32::MAX, None),
        (Abi::I386, 119, Some("sigreturn")),
        (Abi::I386, 140, Some("_llseek")),
        (Abi::I386, 300, Some("fstatat64")),
        (Abi::I386, 422, Some("futex_time64")),
        (Abi::I386, 512, None),
        (Abi::X32, 0, Some("read")),
        (Abi::X32, 59, None),
        (Abi::X32, 520, Some("execve")),
        (Abi::X32, 547, Some("pwritev2")),
        (Abi::X32, 548, None),
        (Abi::Aarch64, 221, Some("execve")),
        (Abi::Aarch64, 470, Some("listns")),
        (Abi::Aarch64, 1024, None),
        (Abi::Arm, 11, Some("execve")),
        (Abi::Arm, 0xf_0005, Some("set_tls")),
        (Abi::Arm, 0xf_0007, None),
        (Abi::Arm, 341, Some("arm_sync_file_range")),
        (Abi::Aarch64, 79, Some("newfstatat")),
        (Abi::Aarch64, 422, None),
    ] {
        assert_eq!(abi.name(number), name, "{abi} {number}");
    }
}

#[test]
fn an_abi_is_read_by_both_its_names() {
    for abi in Abi::ALL {
        assert_eq!(abi.to_string().parse(), Ok(abi));
        assert_eq!(abi.seccomp_arch().parse(), Ok(abi));
        assert_eq!(serde_json::to_value(abi).unwrap(), abi.as_str());
    }
    insta::assert_snapshot!("amd64".parse::<Abi>().unwrap_err(), @r#"there is no ABI "amd64"; known are x86_64, i386, x32, aarch64 and arm"#);
}

use super::{LINKED, LLVM, Machine, RUSTC};
use crate::toolchain::Sources;

/// The plan's commands, on a machine that has none of the packages.
fn commands(machine: &Machine) -> Vec<String> {
    machine.plan(<[_]>::to_vec).steps.iter().map(ToString::to_string).collect()
}

const FRESH: Machine = Machine { debian_12: true, compiler: true, sources: None, linker: false };

#[test]
fn a_fresh_debian_gets_packages_a_linked_toolchain_and_the_linker_of_its_llvm() {
    insta::assert_snapshot!(commands(&FRESH).join("\n"), @"
    sudo apt-get update
    sudo DEBIAN_FRONTEND=noninteractive apt-get install --yes rustc-web cargo-web rust-web-src llvm-22-dev libpolly-22-dev zlib1g-dev libzstd-dev libxml2-dev
    rustup toolchain link bpf /usr
    LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker --version 0.13.0 --locked --no-default-features --features llvm-22
    ");
}

#[test]
fn another_system_gets_a_nightly() {
    insta::assert_snapshot!(commands(&Machine { debian_12: false, ..FRESH }).join("\n"), @"
    rustup toolchain install nightly --component rust-src
    cargo install bpf-linker
    ");
}

#[test]
fn a_complete_machine_gets_nothing() {
    for sources in [Sources::Linked, Sources::Nightly] {
        let machine = Machine { sources: Some(sources), linker: true, ..FRESH };
        assert!(machine.is_complete());
        assert!(machine.plan(<[_]>::to_vec).steps.is_empty());
    }
}

#[test]
fn the_linker_fits_the_toolchain_that_is_there() {
    let has = |sources| commands(&Machine { sources: Some(sources), ..FRESH }).join("\n");
    assert!(has(Sources::Linked).contains(LLVM[0]) && !has(Sources::Linked).contains(RUSTC[0]));
    assert_eq!(has(Sources::Nightly), "cargo install bpf-linker");
}

#[test]
fn installed_packages_are_not_installed_again() {
    let steps = FRESH.plan(|_| vec![]).steps;
    assert!(steps[0].to_string().contains(&format!("link {LINKED}")), "{steps:?}");
}

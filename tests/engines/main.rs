//! Real container engines and runtimes, with real programs in their containers.
//!
//! One module a subject, each with `pub fn tests() -> Vec<Trial>`, listed here:

#[cfg(target_arch = "x86_64")]
mod abis;
mod boundary_docker;
mod boundary_engine;
mod boundary_hooks;
mod container_matrix;
mod containerd;
mod containerd_api;
mod containerd_pods;
mod containerd_record;
mod denials;
mod docker_api;
mod exactness;
#[cfg(target_arch = "x86_64")]
mod flood;
mod marker;
#[cfg(target_arch = "x86_64")]
mod over_allowed;
mod podman;
mod podman_api;
mod podman_record;
mod podman_service;
mod readme;
mod record_end;
mod record_groups;
mod record_hanging;
mod record_hostile;
mod record_injected;
mod record_instants;
mod record_leaving;
mod record_names;
mod record_second_docker;
mod record_select;
mod record_start;
mod record_strangers;
mod record_trouble;
mod record_watch;
mod recorder;
mod run_profile;
mod static_image;
mod steps;
#[path = "../strace_oracle/mod.rs"]
mod strace_oracle;
#[path = "../support/mod.rs"]
mod support;

fn main() -> std::process::ExitCode {
    support::main([
        #[cfg(target_arch = "x86_64")]
        abis::tests(),
        boundary_docker::tests(),
        boundary_engine::tests(),
        boundary_hooks::tests(),
        docker_api::tests(),
        exactness::tests(),
        containerd_api::tests(),
        containerd_pods::tests(),
        containerd_record::tests(),
        denials::tests(),
        #[cfg(target_arch = "x86_64")]
        over_allowed::tests(),
        #[cfg(target_arch = "x86_64")]
        flood::tests(),
        podman_api::tests(),
        podman_record::tests(),
        podman_service::tests(),
        container_matrix::tests(),
        readme::tests(),
        record_start::tests(),
        record_select::tests(),
        record_end::tests(),
        record_trouble::tests(),
        record_watch::tests(),
        record_groups::tests(),
        record_hostile::tests(),
        record_injected::tests(),
        record_instants::tests(),
        record_leaving::tests(),
        record_strangers::tests(),
        record_hanging::tests(),
        record_names::tests(),
        record_second_docker::tests(),
        run_profile::tests(),
        static_image::tests(),
    ])
}

//! The pipeline: the kernel program sees calls ([`tracer`]), engines name the containers ([`engine`]),
//! together they make a [`recording`]; pure functions make a [`profile`] of it, and [`format`](mod@format) writes it.
//! [`cli`] ties them together and alone prints.

pub mod abi;
pub mod cli;
pub mod engine;
pub mod filter;
pub mod format;
pub mod inspect;
pub mod launch;
pub mod live;
pub mod profile;
pub mod recording;
pub mod report;
pub mod tables;
pub mod tracer;

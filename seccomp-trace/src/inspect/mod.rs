//! Reading the host. Nothing here changes it, and nothing prints.

pub mod libseccomp;

//! Tests of the program as a user without privileges types it. No root, no container engine; what needs them is
//! in tests/kernel and tests/engines.
//!
//! | module | what |
//! |---|---|
//! | `arguments` | what the program says of itself |
//! | `generate` | `generate` and `tracing-profile`: their streams, their exit codes |
//! | `recording_format` | version 1 of the format, read forever, and its schema |

mod arguments;
mod generate;
mod recording_format;

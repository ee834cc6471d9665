//! What people read. Functions from data to text; nothing here prints.

mod coverage;
pub mod text;

pub use coverage::coverage;

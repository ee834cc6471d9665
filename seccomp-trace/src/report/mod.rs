//! What people read. Functions from data to text; nothing here prints.

pub mod text;

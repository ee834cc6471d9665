//! The live view (`--watch`): what it knows ([`model`], a pure function of what it is told), what a person does with it
//! ([`view`]), the picture ([`draw`]) on a terminal ([`screen`]), and the lines where there is none ([`lines`]). It
//! traces nothing and writes no file.

pub mod draw;
pub mod lines;
pub mod model;
pub mod output;
pub mod screen;
pub mod view;

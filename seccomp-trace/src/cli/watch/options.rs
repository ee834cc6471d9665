//! `--watch` and `--watch-format`.

use std::env;

use clap::{Args, ValueEnum};

use crate::live::lines::LineFormat;

/// Whether and how the session is watched.
#[derive(Clone, Debug, Args)]
pub struct WatchOptions {
    /// Show the calls live: on a terminal the whole screen, elsewhere a line for each new syscall and each denial.
    /// COMMAND's own output is kept meanwhile, and printed after the end
    #[arg(long)]
    pub watch: bool,
    /// How to show them
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t, requires = "watch")]
    watch_format: WatchFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum WatchFormat {
    /// The screen on a terminal, else lines
    #[default]
    Auto,
    /// A line for each new syscall and each denial
    Lines,
    /// One JSON object for each, a line
    Json,
}

impl WatchOptions {
    /// None where nobody watches; inner none: the stream decides.
    pub fn format(&self) -> Option<Option<LineFormat>> {
        self.watch.then_some(match self.watch_format {
            WatchFormat::Auto => None,
            WatchFormat::Lines => Some(LineFormat::Text),
            WatchFormat::Json => Some(LineFormat::Json),
        })
    }
}

/// Does the terminal show more than ASCII, by what locale(7) says?
pub fn has_unicode() -> bool {
    let set = |name: &&str| env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set);
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

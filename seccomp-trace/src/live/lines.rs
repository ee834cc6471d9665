//! The live view where there is no terminal: one line for each first sighting and each denial, as text or as JSON
//! (docs/watch-format.md).

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::model::{ContainerId, Facts, Flaw, Model, Syscall, Update};
use crate::{
    abi::Abi,
    recording::{Denial, DeniedBy, FilterAction, Origin},
    report::text::sanitise,
};

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// One object of `--watch-format json`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Line {
    /// A container is recorded, or something of it has changed.
    Container {
        /// Its name.
        container: String,
        /// Its engine's id; empty for a command, a cgroup or a unit.
        id: String,
        /// Its image; empty where it has none.
        image: String,
        /// Its engine; `command`, `cgroup` or `unit` where it has none.
        engine: String,
        /// Whether it runs now.
        running: bool,
        /// What makes its recording less than exact, as far as that is known by now: `incomplete` (calls were lost), `late` (it ran
        /// before), `estimated` (no filter marks where its calls begin), `lost` (something beside the calls).
        flaws: BTreeSet<Flaw>,
    },
    /// A syscall was made for the first time.
    Syscall {
        /// When.
        #[schemars(with = "String", extend("format" = "date-time"))]
        time: Timestamp,
        /// The container's name.
        container: String,
        /// Its engine's id.
        id: String,
        /// The ABI.
        abi: Abi,
        /// The number in its ABI (an x32 number without its bit 30).
        number: u32,
        /// The name; null for a number without one.
        name: Option<&'static str>,
        /// The name of the thread that made it; null where the event of it was lost (the call never is).
        comm: Option<String>,
        /// Who made it; null where only the end tells (a cgroup without an engine).
        origin: Option<Origin>,
    },
    /// A filter, or a supervisor that it asks, has answered a syscall in the kernel's place, for the first time with this answer.
    Denied {
        /// When.
        #[schemars(with = "String", extend("format" = "date-time"))]
        time: Timestamp,
        /// The container's name.
        container: String,
        /// Its engine's id.
        id: String,
        /// The ABI.
        abi: Abi,
        /// The number in its ABI (an x32 number without its bit 30).
        number: u32,
        /// The name; null for a number without one.
        name: Option<String>,
        /// The name of the thread that was denied it.
        comm: String,
        /// What the filter answered.
        action: FilterAction,
        /// True where it was a filter that the program had loaded itself, and the container's lets the call in.
        own_filter: bool,
        /// True where that filter does not deny the call, but hands it to a supervisor or a tracer.
        supervised: bool,
    },
    /// Something that seccomp-trace says, where its messages and these lines go to the same place.
    Message {
        /// In words.
        text: String,
    },
}

/// Takes an update, and gives the lines of what is new by it. What is not known by a name waits until it is: nobody may
/// have asked for it.
pub fn lines(model: &mut Model, update: Update) -> Vec<Line> {
    let (id, syscall) = match &update {
        Update::Container(id, facts) => {
            let id = *id;
            let old = model.containers.get(&id).map(|container| container.facts.clone()).unwrap_or_default();
            if old == *facts {
                return Vec::new();
            }
            let line = container(facts);
            model.apply(update);
            let is_named_now = old.name.is_empty();
            return [line]
                .into_iter()
                .chain(is_named_now.then(|| all(model, id)).into_iter().flatten())
                .collect();
        }
        Update::Seen { id, syscall, .. } => (*id, *syscall),
        Update::Denied(id, abi, denial) => (*id, (*abi, denial.number)),
        _ => {
            model.apply(update);
            return Vec::new();
        }
    };
    let denial = if let Update::Denied(_, _, denial) = &update { Some(denial.clone()) } else { None };
    if !model.apply(update) {
        return Vec::new();
    }
    match denial {
        Some(denial) => denied(model, id, syscall.0, &denial).into_iter().collect(),
        None => seen(model, id, syscall).into_iter().collect(),
    }
}

fn container(facts: &Facts) -> Line {
    let Facts { name, id, image, engine, is_running, flaws, .. } = facts.clone();
    Line::Container { container: name, id, image, engine, running: is_running, flaws }
}

/// All that a container has called before it had a name.
fn all(model: &Model, id: ContainerId) -> Vec<Line> {
    let Some(container) = model.containers.get(&id) else { return Vec::new() };
    let mut lines = Vec::new();
    for (syscall, call) in &container.calls {
        if call.is_made {
            lines.extend(seen(model, id, *syscall).map(|line| (call.found, line)));
        }
        let denials = call.denials.iter();
        lines.extend(
            denials.filter_map(|denial| Some((denial.first_seen, denied(model, id, syscall.0, denial)?))),
        );
    }
    lines.sort_by_key(|(time, _)| *time);
    lines.into_iter().map(|(_, line)| line).collect()
}

fn named(model: &Model, id: ContainerId) -> Option<(String, String)> {
    let facts = &model.containers.get(&id)?.facts;
    (!facts.name.is_empty()).then(|| (facts.name.clone(), facts.id.clone()))
}

fn seen(model: &Model, id: ContainerId, (abi, number): Syscall) -> Option<Line> {
    let call = model.containers.get(&id)?.calls.get(&(abi, number))?;
    let (container, id) = named(model, id)?;
    Some(Line::Syscall {
        time: call.found,
        container,
        id,
        abi,
        number,
        name: abi.name(number),
        comm: call.first.as_ref().map(|first| first.comm.clone()),
        origin: call.origins.last().copied(),
    })
}

fn denied(model: &Model, id: ContainerId, abi: Abi, denial: &Denial) -> Option<Line> {
    let (container, id) = named(model, id)?;
    let Denial { number, name, action, own_filter, supervised, first_seen, comm, .. } = denial.clone();
    Some(Line::Denied {
        time: first_seen,
        container,
        id,
        abi,
        number,
        name,
        comm,
        action,
        own_filter,
        supervised,
    })
}

impl Line {
    /// The line without its end; none for what people are not told in this way.
    #[must_use]
    pub fn format(&self, format: LineFormat, start: Timestamp) -> Option<String> {
        match format {
            LineFormat::Text => self.text(start),
            LineFormat::Json => serde_json::to_string(self).ok().map(|json| ascii(&json)),
        }
    }

    fn text(&self, start: Timestamp) -> Option<String> {
        let since = |time: &Timestamp| time.duration_since(start).as_secs_f64().max(0.0);
        let call = |abi: &Abi, number: &u32, name: Option<&str>| {
            let name = name.map_or_else(|| number.to_string(), str::to_owned);
            if abi.is_native() { name } else { format!("{abi} {name}") }
        };
        match self {
            Self::Syscall { time, container, abi, number, name, comm, origin, .. } => {
                let (time, container, call) = (since(time), sanitise(container), call(abi, number, *name));
                let comm = comm.as_deref().map(|comm| format!("  by {}", sanitise(comm))).unwrap_or_default();
                let origin = match origin {
                    Some(Origin::Runtime) => " (runtime)",
                    Some(Origin::Joined) => " (joined)",
                    Some(Origin::Application) | None => "",
                };
                Some(format!("{time:9.3}s  {container}  {call}{comm}{origin}"))
            }
            Self::Denied {
                time, container, abi, number, name, comm, action, own_filter, supervised, ..
            } => {
                let (time, container) = (since(time), sanitise(container));
                let call = call(abi, number, name.as_deref());
                let by = DeniedBy::of(*own_filter, *supervised).words();
                let by = by.map(|words| format!(", {words}")).unwrap_or_default();
                let what = if *supervised { "ANSWERED" } else { "DENIED" };
                Some(format!("{time:9.3}s  {container}  {what} {call} ({action}{by})  by {}", sanitise(comm)))
            }
            Self::Container { .. } | Self::Message { .. } => None,
        }
    }
}

/// JSON as a terminal may show it: all but ASCII escaped, as JSON allows.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for char in json.chars() {
        if char.is_ascii() && !char.is_ascii_control() {
            text.push(char);
        } else {
            let mut units = [0; 2];
            let units = char.encode_utf16(&mut units);
            units.iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        }
    }
    text
}

#[cfg(test)]
mod tests;

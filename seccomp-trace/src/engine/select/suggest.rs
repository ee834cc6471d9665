//! Near misses: the names that a user who typed one without a match may have meant. Pure.

use super::SHORTEST_ID;
use crate::recording::Container;

/// How many suggestions a message can bear.
const MOST: usize = 3;
/// Names longer than this are no typing mistakes; comparing them would take a while.
const LONGEST: usize = 256;
/// The digits of an id that Docker shows.
const SHOWN_ID: usize = 12;

/// The names nearest to `wanted`, the nearest first, at most three: typing mistakes (a third of the
/// letters may be wrong, one at least) and names that hold the whole word (`web` in `shop-web-1`).
/// The names are as the engine gave them: sanitise before printing.
pub fn suggest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut near: Vec<(usize, &str)> =
        names.into_iter().filter_map(|name| Some((distance(wanted, name)?, name))).collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(MOST).map(|(_, name)| name.to_owned()).collect()
}

/// [`suggest`] over containers of one or more engines: by name, or by the beginning of the id where
/// `wanted` looks like one.
pub fn suggest_containers<'a>(
    wanted: &str,
    containers: impl IntoIterator<Item = &'a Container>,
) -> Vec<String> {
    let length = wanted.len().min(SHOWN_ID);
    let is_id = length >= SHORTEST_ID && wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
    let names = containers.into_iter().flat_map(|container| {
        let id = container.id.get(..length).filter(|_| is_id);
        std::iter::once(container.name.as_str()).chain(id)
    });
    suggest(wanted, names)
}

fn distance(wanted: &str, name: &str) -> Option<usize> {
    if wanted.is_empty() || name.is_empty() || wanted.len().max(name.len()) > LONGEST {
        return None;
    }
    let (wanted, name) = (wanted.to_lowercase(), name.to_lowercase());
    let mistakes = strsim::damerau_levenshtein(&wanted, &name);
    let most = (wanted.chars().count() / 3).max(1);
    let held = wanted.len() > 2 && name.contains(&wanted) || name.len() > 2 && wanted.contains(&name);
    // A name that holds the word comes after the typing mistakes, the shortest first.
    if mistakes <= most { Some(mistakes) } else { held.then_some(LONGEST + mistakes) }
}

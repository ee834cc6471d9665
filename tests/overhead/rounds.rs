//! Rounds: everything is measured once in each, beginning with another one each time.

use crate::document::{Measured, Spread};
use anyhow::Result;

/// Measures each of `count` things in each of so many rounds. What comes out is by thing, then by round.
pub fn rounds<T>(
    rounds: usize,
    count: usize,
    mut measure: impl FnMut(usize) -> Result<T>,
) -> Result<Vec<Vec<T>>> {
    let mut results: Vec<Vec<T>> = (0..count).map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for thing in 0..count {
            let thing = (thing + round) % count;
            if let Some(results) = results.get_mut(thing) {
                results.push(measure(thing)?);
            }
        }
    }
    Ok(results)
}

/// The middle of numbers, and the quartiles.
pub fn spread(numbers: impl IntoIterator<Item = f64>) -> Spread {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let place = (numbers.len().saturating_sub(1) as f64 * part).round() as usize;
        let number = numbers.get(place).copied().unwrap_or(f64::NAN);
        // More would be noise.
        (number * 1000.0).round() / 1000.0
    };
    Spread { median: at(0.5), low: at(0.25), high: at(0.75) }
}

/// How many times as much each is as the one of the same round.
pub fn ratios(these: &[f64], those: &[f64]) -> Spread {
    spread(these.iter().zip(those).map(|(this, that)| this / that))
}

/// What was measured in a unit, and the most that it is meant to be.
pub fn measured(
    name: impl Into<String>,
    unit: &str,
    values: impl IntoIterator<Item = f64>,
    target: Option<f64>,
) -> Measured {
    Measured { name: name.into(), unit: unit.to_owned(), value: spread(values), target }
}

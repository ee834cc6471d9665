//! Text of strangers, numbers and times, as they stand on the screen.

use jiff::Timestamp;

use super::Theme;
use crate::report::text::sanitise;

/// A stranger's text, harmless; in ASCII where the terminal has nothing else.
pub fn clean(text: &str, look: Theme) -> String {
    let text = sanitise(text);
    if look.unicode {
        text
    } else {
        text.chars().map(|char| if char.is_ascii() { char } else { '?' }).collect()
    }
}

/// `999`, `12.3k`, `4.5M`: at most five characters.
pub fn short(number: u64) -> String {
    const PETA: u64 = 1_000_000_000_000_000;
    let units = [
        (1000 * PETA, "E"),
        (PETA, "P"),
        (PETA / 1000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1000, "k"),
    ];
    let Some((unit, name)) = units.into_iter().find(|(unit, _)| number >= *unit) else {
        return number.to_string();
    };
    let (whole, tenth) = (number / unit, number % unit * 10 / unit);
    if whole >= 100 { format!("{whole}{name}") } else { format!("{whole}.{tenth}{name}") }
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The time between two moments: `0.123s`, `12.3s`, `4m05s`, `3h20m`, `41d16h`.
pub fn since(from: Timestamp, to: Timestamp) -> String {
    let milliseconds = to.duration_since(from).as_millis().max(0);
    let seconds = milliseconds / 1000;
    match seconds {
        0..10 => format!("{}.{:03}s", seconds, milliseconds % 1000),
        10..60 => format!("{}.{}s", seconds, milliseconds % 1000 / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        360_000.. => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// The same in whole seconds, for what changes with each of them.
pub fn clock(from: Timestamp, to: Timestamp) -> String {
    match to.duration_since(from).as_secs().max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds => since(from, from.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact_ones_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.0k"),
            (12_345, "12.3k"),
            (812_345, "812k"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(short(number), text);
        }
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
    }

    #[test]
    fn times_say_as_much_as_one_wants_to_know() {
        let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
        for (milliseconds, text) in [
            (12, "0.012s"),
            (12_340, "12.3s"),
            (62_000, "1m02s"),
            (12_000_000, "3h20m"),
            (3_600_000_000, "41d16h"),
            (-5, "0.000s"),
        ] {
            assert_eq!(since(at(0), at(milliseconds)), text);
        }
        assert_eq!((clock(at(0), at(9500)), clock(at(0), at(62_000))), ("9s".into(), "1m02s".into()));
    }
}

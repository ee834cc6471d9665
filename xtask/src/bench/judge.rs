//! Which targets were missed.

use super::document::Document;

/// As they are.
pub const EXACT: f64 = 1.0;
/// For a machine that does other things, too: so that nobody loses them unnoticed.
pub const COARSE: f64 = 1.5;

/// Those that were missed by more than this factor, in words.
pub fn missed(document: &Document, factor: f64) -> Vec<String> {
    let mut missed = Vec::new();
    let mut judge = |name: &str, unit: &str, median: f64, target: Option<f64>| {
        if let Some(target) = target
            && (median.is_nan() || median > target * factor)
        {
            missed.push(format!("{name}: {median:.2}{unit}, and the target is {target}{unit}"));
        }
    };
    for call in &document.calls {
        if let Some(ratio) = &call.to_baseline {
            judge(&call.name, " ×", ratio.times.median, ratio.target);
        }
    }
    for measured in document.session.measured.iter().chain(&document.view.measured) {
        let unit = format!(" {}", measured.unit);
        judge(&measured.name, &unit, measured.value.median, measured.target);
    }
    let lost = document.session.flood.missing;
    if lost > 0 {
        missed.push(format!("a flood lost {lost} calls, and the target is none"));
    }
    missed
}

#[cfg(test)]
mod tests {
    use super::super::document::{Call, Flood, Machine, Measured, Ratio, Session, Spread, View};
    use super::*;

    fn document() -> Document {
        let spread = |median| Spread { median, low: median, high: median };
        let ratio = Ratio { to: "the baseline".into(), times: spread(1.2), target: Some(1.1) };
        Document {
            machine: Machine {
                kernel: String::new(),
                processor: String::new(),
                processors: 2,
                version: String::new(),
            },
            calls: vec![Call { name: "traced".into(), to_nothing: spread(1.5), to_baseline: Some(ratio) }],
            session: Session {
                measured: vec![Measured {
                    name: "start".into(),
                    unit: "ms".into(),
                    value: spread(f64::NAN),
                    target: Some(50.0),
                }],
                flood: Flood { distinct: 9, missing: 1, events_lost: 3 },
            },
            peers: Vec::new(),
            programs: Vec::new(),
            view: View { measured: Vec::new() },
        }
    }

    #[test]
    fn what_is_missed_is_named_and_no_number_is_no_success() {
        let named = [
            "traced: 1.20 ×, and the target is 1.1 ×",
            "start: NaN ms, and the target is 50 ms",
            "a flood lost 1 calls, and the target is none",
        ];
        assert_eq!(missed(&document(), EXACT), named);
        assert_eq!(missed(&document(), COARSE), named[1..]);
    }
}

//! In which order cases are started, and how many of them are played at once.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tokio::sync::SemaphorePermit;

use super::{Session, Source};
use crate::case::{Case, Weight};

impl Session {
    /// The order in which to start cases, each as often as it is played: round by round, those that
    /// take long first. Where the suite starts the servers, it goes area by area before that, so that
    /// few of them are needed at once. With `fail_fast`, what is quick comes first instead.
    pub fn start_order(&self, cases: &[Case]) -> Vec<Case> {
        let mut weights: BTreeMap<String, Weight> = BTreeMap::new();
        if let Source::Fleet(_) = &self.source {
            for case in cases {
                let weight = weights.entry(case.area().to_owned()).or_default();
                *weight = case.weight.max(*weight);
            }
        }
        let rounds = 0..self.options.repeat.max(1);
        let mut order: Vec<(usize, &Case)> = rounds
            .flat_map(|round| cases.iter().map(move |case| (round, case)))
            .collect();
        order.sort_by_cached_key(|(round, case)| {
            let quick_first = self.options.fail_fast;
            let place = |weight: Weight| match quick_first {
                true => (Some(weight), None),
                false => (None, Some(Reverse(weight))),
            };
            let area = weights.get_key_value(case.area());
            let area = area.map(|(area, weight)| (place(*weight), area.clone()));
            (area, *round, place(case.weight))
        });
        order.into_iter().map(|(_, case)| case.clone()).collect()
    }

    /// How many of these cases may be under way at a time, each with its [place](Self::place).
    pub fn at_once(&self, cases: &[Case]) -> usize {
        let beside = cases.iter().filter(|case| self.is_beside(case)).count();
        // Those of one round: a case that is repeated is not played beside itself as often.
        self.options.concurrency.max(1) + beside / self.options.repeat.max(1)
    }

    /// Whether a case is played beside the others, as it only waits.
    fn is_beside(&self, case: &Case) -> bool {
        case.weight == Weight::Waiting && self.options.concurrency > 1
    }

    /// Waits until a case may be played; it is played while it has what it gets here.
    pub async fn place(&self, case: &Case) -> Option<SemaphorePermit<'_>> {
        if self.is_beside(case) {
            return None;
        }
        self.places.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Options;
    use crate::target::Target;

    #[test]
    fn what_only_waits_is_played_beside_the_others() {
        let case = |id, weight| Case::code(id, "", &[], |_| async { Ok(()) }).weight(weight);
        let cases = [
            case("a/light", Weight::Light),
            case("a/waiting", Weight::Waiting),
            case("a/slow", Weight::Slow),
        ];
        for (concurrency, repeat, at_once) in
            [(8, 1, 9), (8, 7, 9), (2, 2, 3), (1, 1, 1), (1, 7, 1)]
        {
            let options = Options {
                concurrency,
                repeat,
                ..Options::default()
            };
            let session = Session::new(Target::new("ws://127.0.0.1/ws").unwrap(), options);
            let order = session.start_order(&cases);
            assert_eq!(order[0].id, "a/waiting");
            assert_eq!(order.len(), 3 * repeat);
            assert_eq!(session.at_once(&order), at_once, "{concurrency} x {repeat}");
        }
    }
}

//! What a load comes to: counted while it runs, and in words.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Pace, Plan};

/// The greatest latency that is told apart.
const MOST_MICROS: u64 = 600_000_000;

/// What is counted while a load runs.
pub(super) struct Tally {
    from: Duration,
    until: Duration,
    own: Histogram<u64>,
    others: Histogram<u64>,
    own_echoes: u64,
    echoes: u64,
    errors: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn new(plan: &Plan) -> Self {
        let histogram =
            || Histogram::new_with_bounds(1, MOST_MICROS, 3).expect("three digits are few enough");
        Self {
            from: plan.warm_up,
            until: plan.warm_up + plan.time,
            own: histogram(),
            others: histogram(),
            own_echoes: 0,
            echoes: 0,
            errors: BTreeMap::new(),
        }
    }

    /// An op's echo has come. What is sent while the server warms up is not counted, nor is what comes
    /// after the end; but how long that took is.
    pub(super) fn echo(&mut self, is_own: bool, sent: Duration, now: Duration) {
        if (self.from..self.until).contains(&now) {
            self.echoes += 1;
            self.own_echoes += u64::from(is_own);
        }
        if sent >= self.from {
            let histogram = if is_own {
                &mut self.own
            } else {
                &mut self.others
            };
            let micros = now.saturating_sub(sent).as_micros();
            histogram.saturating_record(u64::try_from(micros).unwrap_or(u64::MAX));
        }
    }

    pub(super) fn fail(&mut self, why: &str) {
        self.fail_times(why, 1);
    }

    pub(super) fn fail_times(&mut self, why: &str, times: u64) {
        *self.errors.entry(why.to_owned()).or_default() += times;
    }

    pub(super) fn figures(&self, plan: &Plan, generator: Option<Generator>) -> Figures {
        let secs = plan.time.as_secs_f64();
        let (rate, in_flight) = match plan.pace {
            Pace::Rate(rate) => (Some(rate), None),
            Pace::InFlight(most) => (None, Some(most)),
        };
        Figures {
            documents: plan.documents,
            clients: plan.clients,
            characters: plan.characters,
            rate,
            in_flight,
            secs,
            ops_per_second: self.own_echoes as f64 / secs,
            echoes_per_second: self.echoes as f64 / secs,
            own: Latencies::of(&self.own),
            others: Latencies::of(&self.others),
            errors: self.errors.clone(),
            generator,
        }
    }
}

/// What a load came to.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// How many documents there were.
    pub documents: usize,
    /// How many clients each had.
    pub clients: usize,
    /// How many characters each document had before they came.
    pub characters: u64,
    /// The ops a second that were asked for, of all clients together.
    pub rate: Option<f64>,
    /// The ops that each client had under way.
    pub in_flight: Option<u64>,
    /// How long was counted, in seconds.
    pub secs: f64,
    /// The ops a second whose echo came back to their sender.
    pub ops_per_second: f64,
    /// The echoes a second that all clients got together.
    pub echoes_per_second: f64,
    /// From an op, to the echo at its sender.
    pub own: Latencies,
    /// From an op, to the echoes at the others.
    pub others: Latencies,
    /// What went wrong, and how often.
    pub errors: BTreeMap<String, u64>,
    /// What the load itself took; nothing where the system does not tell.
    pub generator: Option<Generator>,
}

/// The parts of all that are looked at, for a curve.
const PARTS: [f64; 10] = [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999];

/// Percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latencies {
    /// How many were measured.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p99_9: f64,
    /// The greatest.
    pub max: f64,
    /// More of them: which part of all took no longer, and how long that is.
    pub percentiles: [(f64, f64); PARTS.len()],
}

impl Latencies {
    fn of(histogram: &Histogram<u64>) -> Self {
        let millis = |micros: u64| micros as f64 / 1000.0;
        Self {
            count: histogram.len(),
            p50: millis(histogram.value_at_quantile(0.5)),
            p99: millis(histogram.value_at_quantile(0.99)),
            p99_9: millis(histogram.value_at_quantile(0.999)),
            max: millis(histogram.max()),
            percentiles: PARTS.map(|part| (part, millis(histogram.value_at_quantile(part)))),
        }
    }

    fn words(&self) -> String {
        if self.count == 0 {
            return "(none)".to_owned();
        }
        format!(
            "p50 {:>8.3}  p99 {:>8.3}  p99.9 {:>8.3}  max {:>8.3} ms",
            self.p50, self.p99, self.p99_9, self.max
        )
    }
}

/// What the load's one thread did, as parts of the time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Generator {
    /// It ran.
    pub busy: f64,
    /// It was ready to run, and others had the processor.
    pub waiting: f64,
}

/// From what part of the time on a generator is no longer a measure of the server.
const FULL: f64 = 0.9;
const CROWDED: f64 = 0.1;

impl Generator {
    /// What a thread did between two looks at it.
    pub(super) fn between(
        before: Option<Look>,
        after: Option<Look>,
        time: Duration,
    ) -> Option<Self> {
        let (before, after) = (before?, after?);
        let part = |nanos: u64| nanos as f64 / time.as_nanos() as f64;
        Some(Self {
            busy: part(after.ran - before.ran),
            waiting: part(after.waited - before.waited),
        })
    }
}

/// How many nanoseconds this thread has run, and has waited for a processor.
#[derive(Clone, Copy)]
pub(super) struct Look {
    ran: u64,
    waited: u64,
}

impl Look {
    /// Nothing where the system does not tell. Source: proc(5), `schedstat`.
    pub(super) fn at_this_thread() -> Option<Self> {
        let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        let mut fields = text.split_whitespace().map(str::parse);
        Some(Self {
            ran: fields.next()?.ok()?,
            waited: fields.next()?.ok()?,
        })
    }
}

impl Figures {
    /// Whether anything went wrong.
    pub fn has_failed(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Why the figures tell of the load and not of the server, if they do.
    pub fn bottleneck(&self) -> Option<String> {
        let generator = self.generator?;
        let percent = |part: f64| format!("{:.0} %", part * 100.0);
        if generator.busy + generator.waiting < FULL && generator.waiting < CROWDED {
            return None;
        }
        Some(match generator.waiting < CROWDED {
            true => format!(
                "the load was itself the bottleneck: it ran {} of the time",
                percent(generator.busy)
            ),
            false => format!(
                "the load was itself the bottleneck: it ran {} of the time and\n\
                 waited {} for a processor (pin it to one with taskset)",
                percent(generator.busy),
                percent(generator.waiting)
            ),
        })
    }

    /// The figures in lines of 80 columns at most.
    pub fn words(&self) -> String {
        let pace = match (self.rate, self.in_flight) {
            (Some(rate), _) => format!("{rate} ops/s in all"),
            (None, most) => format!("{} in flight each", most.unwrap_or_default()),
        };
        let of = match self.characters {
            0 => String::new(),
            characters => format!(" of {characters} characters"),
        };
        let many = if self.documents == 1 { "" } else { "s" };
        let mut lines = vec![
            format!(
                "{} document{many}{of} x {} clients, {pace}, {:.1} s",
                self.documents, self.clients, self.secs
            ),
            format!(
                "  {:.0} ops/s   {:.0} echoes/s",
                self.ops_per_second, self.echoes_per_second
            ),
            format!("  own     {}", self.own.words()),
            format!("  others  {}", self.others.words()),
        ];
        if let Some(generator) = self.generator {
            let (busy, waiting) = (generator.busy * 100.0, generator.waiting * 100.0);
            lines.push(format!(
                "  load    {busy:.0} % busy, {waiting:.0} % waiting for a processor"
            ));
        }
        for (why, times) in &self.errors {
            lines.push(format!("  error   {times} x {why}"));
        }
        if let Some(sentence) = self.bottleneck() {
            lines.push(format!("note: {sentence}"));
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            documents: 1,
            clients: 2,
            characters: 0,
            pace: Pace::InFlight(1),
            warm_up: Duration::from_secs(1),
            time: Duration::from_secs(2),
        }
    }

    #[test]
    fn only_the_time_between_warm_up_and_end_counts() {
        let mut tally = Tally::new(&plan());
        let at = Duration::from_millis;
        tally.echo(true, at(100), at(900));
        tally.echo(true, at(900), at(1100));
        tally.echo(false, at(1000), at(1020));
        tally.echo(true, at(2990), at(9010));
        let figures = tally.figures(&plan(), None);
        assert_eq!(
            (figures.ops_per_second, figures.echoes_per_second),
            (0.5, 1.0)
        );
        assert_eq!((figures.own.count, figures.others.count), (1, 1));
        assert!((19.9..20.1).contains(&figures.others.max), "{figures:?}");
        assert!((6010.0..6030.0).contains(&figures.own.max), "{figures:?}");
    }

    #[test]
    fn a_full_load_says_so() {
        let mut figures = Tally::new(&plan()).figures(&plan(), None);
        assert_eq!(figures.bottleneck(), None);
        for (busy, waiting, is_full) in [(0.5, 0.0, false), (0.95, 0.0, true), (0.3, 0.2, true)] {
            figures.generator = Some(Generator { busy, waiting });
            assert_eq!(figures.bottleneck().is_some(), is_full, "{busy} {waiting}");
            assert_eq!(figures.words().contains("bottleneck"), is_full);
            assert!(
                figures
                    .words()
                    .lines()
                    .all(|line| line.chars().count() <= 80)
            );
        }
    }
}

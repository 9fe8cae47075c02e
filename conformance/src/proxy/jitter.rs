//! How the way of a whole run is delayed, as the command line has it.

use std::fmt;
use std::time::Duration;

use super::plan::{Faults, Plan};
use crate::numbers::Numbers;

/// The longest delay, in milliseconds: beyond it every deadline passes.
const MOST: u64 = 10_000;

/// The most bytes of a connection that come one by one: its first messages. Many more fill the buffers of a
/// client that does not read, each as a packet of its own, until the system drops one and sends it again
/// when it likes.
const DRIBBLED: usize = 400;

/// How late bytes come, by a seed: `MS:SEED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter {
    /// The longest delay, in milliseconds.
    pub millis: u64,
    /// What the delays are drawn from.
    pub seed: u64,
}

impl Jitter {
    /// The jitter that `MS:SEED` says, or `MS` with a seed given.
    ///
    /// Errors: a sentence that says what to write.
    pub fn read(text: &str, seed: u64) -> Result<Self, String> {
        let (millis, seed) = match text.split_once(':') {
            Some((millis, seed)) => (millis.parse().ok(), seed.parse().ok()),
            None => (text.parse().ok(), Some(seed)),
        };
        let read = millis.zip(seed).filter(|(millis, _)| *millis <= MOST);
        let (millis, seed) = read.ok_or_else(|| {
            format!(
                "--jitter {text} is not MS or MS:SEED, such as 20 or 20:7, with MS up to {MOST}"
            )
        })?;
        Ok(Self { millis, seed })
    }

    /// What is done to each connection: in each direction chunks come up to so much later, and some of
    /// the first bytes one by one. Nothing is lost.
    pub fn plan(self) -> Plan {
        let most = Duration::from_millis(self.millis);
        Plan::new(move |number| {
            let mut numbers = Numbers::new(self.seed).of_part(number);
            let mut faults = Faults::none().jitter(most, numbers.any());
            for pace in [&mut faults.to_server, &mut faults.to_client] {
                // Half of them are not dribbled at all.
                let dribbled = numbers.below(2 * DRIBBLED).saturating_sub(DRIBBLED);
                pace.dribbled = dribbled as u64;
            }
            faults
        })
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.millis, self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_with_its_seed_or_without() {
        let jitter = |millis, seed| Ok(Jitter { millis, seed });
        assert_eq!(Jitter::read("20", 7), jitter(20, 7));
        assert_eq!(Jitter::read("20:8", 7), jitter(20, 8));
        let again = Jitter { millis: 3, seed: 9 }.to_string();
        assert_eq!(Jitter::read(&again, 7), jitter(3, 9));
        for wrong in ["", "-1", "x", "1:", "1:2:3", ":4", "10001"] {
            assert!(Jitter::read(wrong, 7).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_is_lost_and_some_bytes_come_one_by_one() {
        let plan = Jitter { millis: 5, seed: 1 }.plan();
        let all: Vec<Faults> = (0..50).map(|number| plan.faults(number)).collect();
        assert!(all.iter().all(|faults| faults.cut.is_none()));
        let dribbled = all.iter().filter(|faults| faults.to_client.dribbled > 0);
        assert!((10..40).contains(&dribbled.count()));
        let again = Jitter { millis: 5, seed: 1 }.plan();
        assert_eq!(all[49], again.faults(49));
    }
}

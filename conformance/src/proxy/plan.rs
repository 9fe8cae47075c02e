//! What a proxy does to which connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::numbers::Numbers;

/// A direction through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// A place among the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Behind so many bytes, those of the handshake included.
    Byte(u64),
    /// Behind so many WebSocket frames, control frames included; 0 is behind the handshake. Never
    /// reached where the bytes are encrypted.
    Frame(u64),
}

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// Both ends get an RST; what is still on its way may be lost.
    Reset,
    /// Both ends get a FIN, behind what has passed.
    Fin,
    /// Nothing passes any more in the one direction, not even its end; the other goes on, and both
    /// ends keep their sockets until it has ended.
    HalfOpen,
}

/// Where and how a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cut {
    /// In which direction the bytes are counted.
    pub direction: Direction,
    /// Behind which of them it is cut; all up to there pass.
    pub place: Place,
    /// How.
    pub how: How,
}

/// How fast bytes pass in one direction. The default is: at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pace {
    /// How much later each chunk passes than it came.
    pub delay: Duration,
    /// How much later than that at most; each chunk's own time is drawn. The order stays.
    pub jitter: Duration,
    /// The most bytes a second; 0 is any.
    pub bytes_per_second: u64,
    /// How many of the first bytes behind the handshake pass one by one, and of the handshake the first 40
    /// at most.
    pub dribbled: u64,
}

/// What is done to one connection. The default is: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Where it is cut, if it is.
    pub cut: Option<Cut>,
    /// How fast bytes pass to the server.
    pub to_server: Pace,
    /// How fast bytes pass to the client.
    pub to_client: Pace,
    /// What the jitter is drawn from.
    pub seed: u64,
}

impl Faults {
    /// Nothing is done.
    pub fn none() -> Self {
        Self::default()
    }

    /// The connection is cut.
    #[must_use]
    pub fn cut(self, direction: Direction, place: Place, how: How) -> Self {
        let cut = Cut {
            direction,
            place,
            how,
        };
        Self {
            cut: Some(cut),
            ..self
        }
    }

    /// From a place on nothing passes in one direction, and both ends keep their sockets.
    #[must_use]
    pub fn half_open(self, direction: Direction, place: Place) -> Self {
        self.cut(direction, place, How::HalfOpen)
    }

    /// Each chunk passes so much later, in both directions.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.both(|pace| pace.delay = delay)
    }

    /// Each chunk passes up to so much later, in both directions.
    #[must_use]
    pub fn jitter(self, jitter: Duration, seed: u64) -> Self {
        Self { seed, ..self }.both(|pace| pace.jitter = jitter)
    }

    /// No more bytes pass in a second, in each direction.
    #[must_use]
    pub fn throttle(self, bytes_per_second: u64) -> Self {
        self.both(|pace| pace.bytes_per_second = bytes_per_second)
    }

    /// So many of the first bytes pass one by one, in each direction.
    #[must_use]
    pub fn dribble(self, bytes: u64) -> Self {
        self.both(|pace| pace.dribbled = bytes)
    }

    fn both(mut self, change: impl Fn(&mut Pace)) -> Self {
        change(&mut self.to_server);
        change(&mut self.to_client);
        self
    }

    /// How fast bytes pass in a direction.
    pub fn pace(&self, direction: Direction) -> Pace {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }
}

/// What is done to each connection, by its number: 0 for the first that the proxy takes.
#[derive(Clone)]
pub struct Plan(Arc<dyn Fn(u64) -> Faults + Send + Sync>);

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plan").finish_non_exhaustive()
    }
}

impl Plan {
    /// Any plan.
    pub fn new(faults: impl Fn(u64) -> Faults + Send + Sync + 'static) -> Self {
        Self(Arc::new(faults))
    }

    /// Nothing is done to any connection.
    pub fn clean() -> Self {
        Self::same(Faults::none())
    }

    /// The same is done to all connections.
    pub fn same(faults: Faults) -> Self {
        Self::new(move |_| faults)
    }

    /// The first connection has the first faults, and so on; those behind the last one have none.
    pub fn in_turn(faults: impl IntoIterator<Item = Faults>) -> Self {
        let faults: Vec<Faults> = faults.into_iter().collect();
        Self::new(move |number| {
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            faults.get(index).copied().unwrap_or_default()
        })
    }

    /// A mixture of all faults that the seed decides. Of ten connections about three are cut with
    /// RST, two with FIN, one is left half open, and one has no fault at all; a client that goes on
    /// connecting gets through.
    pub fn seeded(seed: u64) -> Self {
        Self::new(move |number| drawn(seed, number))
    }

    /// What is done to a connection.
    pub fn faults(&self, number: u64) -> Faults {
        (self.0)(number)
    }
}

fn drawn(seed: u64, number: u64) -> Faults {
    let mut numbers = Numbers::new(seed).of_part(number);
    let mut faults = Faults {
        seed: numbers.any(),
        ..Faults::none()
    };
    let kind = numbers.below(10);
    if kind == 9 {
        return faults;
    }
    let direction = match numbers.below(2) {
        0 => Direction::ToServer,
        _ => Direction::ToClient,
    };
    // Small numbers more often: the handshake, the hello and the sync are where it hurts.
    let greatest = [20, 200, 2_000, 20_000][numbers.below(4)];
    let place = match numbers.below(2) {
        0 => Place::Byte(numbers.below(greatest) as u64),
        _ => Place::Frame(numbers.below(1 + greatest / 20) as u64),
    };
    let how = match kind {
        0..=2 => Some(How::Reset),
        3..=4 => Some(How::Fin),
        5 => Some(How::HalfOpen),
        _ => None,
    };
    faults.cut = how.map(|how| Cut {
        direction,
        place,
        how,
    });
    for pace in [&mut faults.to_server, &mut faults.to_client] {
        match numbers.below(6) {
            0 => pace.delay = Duration::from_millis(numbers.below(20) as u64),
            1 => pace.jitter = Duration::from_millis(1 + numbers.below(20) as u64),
            2 => pace.bytes_per_second = 20_000 + numbers.below(500_000) as u64,
            3 => pace.dribbled = numbers.below(400) as u64,
            _ => {}
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_seed_decides_all_and_another_one_otherwise() {
        let all = |seed| {
            let plan = Plan::seeded(seed);
            (0..100)
                .map(|number| plan.faults(number))
                .collect::<Vec<_>>()
        };
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
    }

    #[test]
    fn every_fault_is_drawn_and_so_is_none() {
        let plan = Plan::seeded(0);
        let all: Vec<Faults> = (0..500).map(|number| plan.faults(number)).collect();
        let cuts: Vec<Cut> = all.iter().filter_map(|faults| faults.cut).collect();
        let hows: HashSet<How> = cuts.iter().map(|cut| cut.how).collect();
        let directions: HashSet<Direction> = cuts.iter().map(|cut| cut.direction).collect();
        assert_eq!((hows.len(), directions.len()), (3, 2));
        let is_frame = |cut: &&Cut| matches!(cut.place, Place::Frame(_));
        let frames = cuts.iter().filter(is_frame).count();
        assert!(frames > 0 && frames < cuts.len());
        let paces: Vec<Pace> = all
            .iter()
            .flat_map(|faults| [faults.to_server, faults.to_client])
            .collect();
        assert!(paces.iter().any(|pace| !pace.delay.is_zero()));
        assert!(paces.iter().any(|pace| !pace.jitter.is_zero()));
        assert!(paces.iter().any(|pace| pace.bytes_per_second > 0));
        assert!(paces.iter().any(|pace| pace.dribbled > 0));
        let none = |faults: &&Faults| {
            Faults {
                seed: 0,
                ..**faults
            } == Faults::none()
        };
        assert!(all.iter().filter(none).count() > 20);
    }
}

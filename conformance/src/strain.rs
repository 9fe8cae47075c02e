//! How short of processors this machine is: a wait in vain on a busy one says nothing of the server yet.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// For how much time of a processor a sample computes.
const SAMPLE: Duration = Duration::from_millis(30);

/// How long a sample holds for everybody.
const HOLDS: Duration = Duration::from_secs(1);

/// A machine that is busier than this is no place for a verdict either way.
const MOST: f64 = 8.0;

/// When it was last looked at, and what was seen.
static LAST: Mutex<Option<(Instant, f64)>> = Mutex::new(None);

/// How many times longer a computation takes than it would alone: 1 on an idle machine, about 4 where
/// every processor has four to serve.
pub(crate) async fn strain() -> f64 {
    // A sample that can't be taken prolongs nothing.
    tokio::task::spawn_blocking(sampled).await.unwrap_or(1.0)
}

/// One sample at a time, since several would see each other.
fn sampled() -> f64 {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    match *last {
        Some((when, strain)) if when.elapsed() < HOLDS => strain,
        _ => {
            let strain = sample();
            *last = Some((Instant::now(), strain));
            strain
        }
    }
}

fn sample() -> f64 {
    let (begun, begun_computing) = (Instant::now(), computed());
    let mut number = 1_u64;
    loop {
        for _ in 0..10_000 {
            number = black_box(
                number
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1),
            );
        }
        let computing = computed().saturating_sub(begun_computing);
        let took = begun.elapsed();
        if computing >= SAMPLE || took >= SAMPLE.mul_f64(MOST) {
            let strain = took.as_secs_f64() / computing.as_secs_f64().max(f64::EPSILON);
            return strain.clamp(1.0, MOST);
        }
    }
}

/// How long a processor has worked for this thread.
fn computed() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Neither is negative on a clock that counts up from nothing.
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn computing_takes_at_least_its_own_time() {
        let before = computed();
        let strain = sample();
        assert!((1.0..=MOST).contains(&strain), "{strain}");
        assert!(computed() > before);
    }

    #[test]
    fn more_threads_than_processors_are_a_strain() {
        let processors = std::thread::available_parallelism().unwrap().get();
        let over = AtomicBool::new(false);
        let strain = std::thread::scope(|scope| {
            for _ in 0..4 * processors {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let strains: Vec<f64> = (0..5).map(|_| sample()).collect();
            over.store(true, Ordering::Relaxed);
            strains.into_iter().fold(1.0, f64::max)
        });
        assert!(strain > 1.5, "{strain}");
    }
}

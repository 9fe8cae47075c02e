//! Time by the processor's clock, and memory by a counting allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time of all threads of this process so far. Others' work on the machine is not in
/// it, though it still costs caches.
pub fn now() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How long something takes, and what it gives.
pub fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let from = now();
    let result = work();
    (now() - from, result)
}

pub fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static MADE: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn add(bytes: usize) {
    MADE.fetch_add(1, Relaxed);
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    // Not exact where threads race; peers that are measured use one.
    if held > PEAK.load(Relaxed) {
        PEAK.store(held, Relaxed);
    }
}

// SAFETY: everything is the system allocator's; what is added are counters.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// How many allocations something makes, those included that make one greater.
pub fn allocations<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = MADE.load(Relaxed);
    let result = work();
    (MADE.load(Relaxed) - before, result)
}

/// What something holds when it is made, and the most that was held on the way; in bytes.
pub fn memory<T>(make: impl FnOnce() -> T) -> (usize, usize, T) {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let made = make();
    let (held, peak) = (HELD.load(Relaxed), PEAK.load(Relaxed));
    (
        held.saturating_sub(before),
        peak.saturating_sub(before),
        made,
    )
}

//! Memory that is free but still the process's, given back to the system.
//!
//! The only `unsafe` of the project: `docs/decisions/memory-back.md`.

/// Gives all whole pages back that the allocator has free; whether there were any. Allocations of other
/// threads wait meanwhile, for milliseconds. Does nothing with an allocator other than glibc's.
///
/// Source: malloc_trim(3).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(
    unsafe_code,
    reason = "a function of the C library, and no memory of ours"
)]
pub(crate) fn trim() -> bool {
    // SAFETY: it may be called by any thread at any time, and moves nothing that is in use.
    unsafe { libc::malloc_trim(0) == 1 }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn trim() -> bool {
    false
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn pages_below_what_is_in_use_go_back() {
        let freed: Vec<_> = (0..16_384).map(|_| vec![1_u8; 1024]).collect();
        let above = vec![1_u8; 1024];
        drop(freed);
        assert!(trim());
        assert_eq!(above, [1; 1024]);
    }
}

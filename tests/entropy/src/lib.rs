//! Chance from a seed: in a process that links this crate and calls [`seed`], everything that asks the
//! system for random bytes gets the same ones in every run. That is where the standard library's hash maps,
//! tokio's `select!` and `rand` have theirs from, so a simulation on one thread replays exactly.
//!
//! Why unsafe code: the only way to all of them is `getrandom` of the C library, which the executable may
//! define itself; it takes a bare pointer. Nothing else here is unsafe, and nothing but tests links it.

use std::{
    fs::File,
    io::Read as _,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

static SEEDED: AtomicBool = AtomicBool::new(false);
static STATE: AtomicU64 = AtomicU64::new(0);

/// From now on all random bytes of this process come from `seed`. Threads that have hash maps already keep
/// what those were made from, so what is to replay runs on a new thread.
pub fn seed(seed: u64) {
    STATE.store(seed, Ordering::SeqCst);
    SEEDED.store(true, Ordering::SeqCst);
}

/// The C library's, for this executable.
///
/// # Safety
/// `buffer` must be writable for `length` bytes, as the C library demands.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    if length == 0 {
        return 0;
    }
    // SAFETY: the caller promises `length` writable bytes at `buffer`. They are filled before they are
    // read, and bytes have no invalid values.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
    if SEEDED.load(Ordering::SeqCst) {
        for chunk in bytes.chunks_mut(8) {
            let word = next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    } else if File::open("/dev/urandom")
        .and_then(|mut system| system.read_exact(bytes))
        .is_err()
    {
        return -1;
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}

/// `SplitMix64`.
fn next() -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let state = STATE.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

//! What this process holds in memory.

use anyhow::{Context as _, Result};

/// Resident memory in KiB, from `/proc/self/status`.
pub(crate) fn resident_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("no /proc here")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .context("no VmRSS in /proc/self/status")?
        .parse()
        .context("VmRSS is no number")
}

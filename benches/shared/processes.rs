//! What processes use up, read from /proc. Without one (macOS) the figures are 0.

use std::fs;
use std::str::FromStr;

/// Seconds of CPU that these processes have used. They are chosen by id and command line.
pub fn cpu(is_meant: impl Fn(u32, &str) -> bool) -> f64 {
    let mut ticks = 0.0;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        if is_meant(pid, &read("cmdline")) {
            let stat = read("stat");
            let of = |field: &&str| f64::from_str(field).unwrap_or_default();
            let rest: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            ticks += rest.get(11..13).map_or(0.0, |times| times.iter().map(of).sum());
        }
    }
    ticks / 100.0
}

/// Resident memory in MiB, with its share of what other processes use too.
pub fn pss_mib(pid: u32) -> f64 {
    mib(pid, "smaps_rollup", "Pss:")
}

/// The most resident memory that the process ever had, in MiB.
pub fn peak_mib(pid: u32) -> f64 {
    mib(pid, "status", "VmHWM:")
}

fn mib(pid: u32, file: &str, field: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let kib = text.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

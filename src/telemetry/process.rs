//! Figures about the process itself, as the kernel tells them; where `/proc` does not exist they stay at zero.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus::{Counter, Gauge, IntGauge, Registry};

/// Ticks of `/proc/self/stat` per second; Linux shows 100 to programs whatever the kernel's own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Debug)]
pub struct Process {
    cpu_seconds: Counter,
    resident_bytes: IntGauge,
    open_files: IntGauge,
}

impl Process {
    pub fn register(registry: &Registry) -> Result<Process, prometheus::Error> {
        let process = Process {
            cpu_seconds: Counter::new("process_cpu_seconds_total", "Time spent computing, in seconds.")?,
            resident_bytes: IntGauge::new("process_resident_memory_bytes", "Memory in use, in bytes.")?,
            open_files: IntGauge::new("process_open_fds", "Open files and connections.")?,
        };
        let started = Gauge::new("process_start_time_seconds", "When the process started, in seconds since 1970.")?;
        started.set(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()));
        registry.register(Box::new(process.cpu_seconds.clone()))?;
        registry.register(Box::new(process.resident_bytes.clone()))?;
        registry.register(Box::new(process.open_files.clone()))?;
        registry.register(Box::new(started))?;
        Ok(process)
    }

    /// Reads the figures anew.
    pub fn read(&self) {
        if let Some(seconds) = cpu_seconds() {
            self.cpu_seconds.inc_by((seconds - self.cpu_seconds.get()).max(0.0));
        }
        if let Some(bytes) = resident_bytes() {
            self.resident_bytes.set(bytes);
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            self.open_files.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        }
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets, which may hold anything; the times are fields 14 and 15.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

//! Processor time and memory of processes, as Linux tells them in `/proc`. Elsewhere nothing is told.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

/// Processor time in seconds, of the server and of all processes of Postgres.
#[derive(Clone, Copy, Debug, Default)]
pub struct Processor {
    pub server: f64,
    pub postgres: f64,
}

impl Processor {
    pub fn since(self, before: Processor) -> Processor {
        Processor { server: self.server - before.server, postgres: self.postgres - before.postgres }
    }

    pub fn total(self) -> f64 {
        self.server + self.postgres
    }
}

/// How often the times of a process's children are read anew because one of them has just ended.
const READINGS_MAX: usize = 10;

/// Processor time of a process and of its children, the gone ones among them.
pub fn with_children(pid: u32) -> Option<f64> {
    // A child that ends between both readings would be missed, or counted twice.
    let mut own = seconds(pid, true)?;
    for _ in 0..READINGS_MAX {
        let living = living_children(pid)?;
        let after = seconds(pid, true)?;
        if after == own {
            return Some(own + living);
        }
        own = after;
    }
    None
}

fn living_children(pid: u32) -> Option<f64> {
    let children = fs::read_dir("/proc").ok()?.filter_map(|entry| {
        let child = entry.ok()?.file_name().to_str()?.parse().ok()?;
        (parent(child)? == pid).then(|| seconds(child, false)).flatten()
    });
    Some(children.sum())
}

/// Processor time of a process alone.
pub fn alone(pid: u32) -> Option<f64> {
    seconds(pid, false)
}

/// Most memory that a process has had since it was last told to forget that, in bytes.
pub fn peak_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// Makes the process's highest use of memory that of now.
pub fn forget_peak(pid: u32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5"); // where it may not be, the peak is that since its start
}

/// The fields of `/proc/PID/stat` behind the program's name, which may hold anything; the first of them is the third.
fn fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_string).collect())
}

fn parent(pid: u32) -> Option<u32> {
    fields(pid)?.get(1)?.parse().ok()
}

fn seconds(pid: u32, gone_children: bool) -> Option<f64> {
    let fields = fields(pid)?;
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    let own = ticks(14)? + ticks(15)?;
    let children = if gone_children { ticks(16)? + ticks(17)? } else { 0.0 };
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
    Some((own + children) / per_second as f64)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_used_some_time_and_memory() {
        let me = std::process::id();
        let mut sum = 0_u64;
        while alone(me).unwrap() == 0.0 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(with_children(me).unwrap() >= alone(me).unwrap());
        assert!(peak_bytes(me).unwrap() > 1024 * 1024);
        assert_eq!(alone(u32::MAX), None);
    }
}

//! The pauses between tries: they double up to a bound, and each is chance from nothing to that ("full jitter"), so that clients
//! that failed together do not come back together.

use std::time::Duration;

use uuid::Uuid;

pub const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Tries never end, so the longest pause is also how late a recovery may be noticed.
pub const PAUSE_MAX: Duration = Duration::from_secs(3);

/// The pause after `failures` in a row, `pause_max` at most.
pub fn pause(failures: u32, pause_max: Duration) -> Duration {
    most(failures, pause_max).mul_f64(chance())
}

/// The longest pause after `failures` in a row.
fn most(failures: u32, pause_max: Duration) -> Duration {
    PAUSE_MIN.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(20))).min(pause_max)
}

/// Evenly from 0 to 1.
fn chance() -> f64 {
    let (_, random) = Uuid::new_v4().as_u64_pair();
    f64::from(random as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_are_anything_from_nothing_to_it() {
        let most = [1, 2, 3, 5, 6, 100, u32::MAX].map(|failures| most(failures, PAUSE_MAX).as_millis());
        assert_eq!(most, [100, 200, 400, 1_600, 3_000, 3_000, 3_000]);
        let pauses: Vec<Duration> = (0..200).map(|_| pause(6, PAUSE_MAX)).collect();
        assert!(pauses.iter().all(|pause| *pause <= PAUSE_MAX));
        assert!(pauses.iter().any(|pause| *pause < PAUSE_MAX / 4) && pauses.iter().any(|pause| *pause > PAUSE_MAX / 2));
    }
}

//! How long to wait after a failed attempt: a value, with its jitter drawn by the caller.

use std::time::Duration;

/// The random part grows no further than this.
const LONGEST_RANDOM_PART: Duration = Duration::from_secs(5 * 60);
/// A server that asks for more is asked again after this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// The pause after the `failures`-th failure in a row: the interval, plus the share `random`
/// (0 to 1) of min(interval × 2ⁿ, 5 min), n counting from 0; longer where the server asked for it.
pub fn pause(
    interval: Duration,
    failures: u32,
    retry_after: Option<Duration>,
    random: f64,
) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    let most = interval
        .saturating_mul(1 << doublings)
        .min(LONGEST_RANDOM_PART);
    let pause = interval + most.mul_f64(random.clamp(0.0, 1.0));
    pause.max(honoured(retry_after.unwrap_or_default()))
}

/// How much of a pause that a server asks for is kept.
pub fn honoured(retry_after: Duration) -> Duration {
    retry_after.min(LONGEST_RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_random_part_doubles_up_to_five_minutes() {
        let longest = |failures| pause(seconds(30), failures, None, 1.0);
        assert_eq!(longest(1), seconds(60));
        assert_eq!(longest(2), seconds(90));
        assert_eq!(longest(4), seconds(30 + 240));
        assert_eq!(longest(5), seconds(330));
        assert_eq!(longest(u32::MAX), seconds(330));
    }

    #[test]
    fn the_interval_is_always_waited() {
        assert_eq!(pause(seconds(30), 9, None, 0.0), seconds(30));
    }

    #[test]
    fn retry_after_is_honoured_up_to_an_hour() {
        assert_eq!(pause(seconds(30), 1, Some(seconds(600)), 1.0), seconds(600));
        assert_eq!(pause(seconds(30), 1, Some(seconds(1)), 1.0), seconds(60));
        assert_eq!(
            pause(seconds(30), 1, Some(seconds(86_400)), 1.0),
            seconds(3600)
        );
    }
}

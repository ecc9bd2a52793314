//! `EXT-X-PROGRAM-DATE-TIME` as a point in time.

use std::time::{Duration, SystemTime};

use quick_m3u8::date::DateTime;

/// `None` for what is no date, or before 1970: an encoder without a clock.
pub(super) fn moment(date: DateTime) -> Option<SystemTime> {
    let (year, month, day) =
        (i64::from(date.date_fullyear), i64::from(date.date_month), i64::from(date.date_mday));
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && date.time_hour < 24
        && date.time_minute < 60
        && (0.0..61.0).contains(&date.time_second);
    if !in_range {
        return None;
    }
    let zone = date.timezone_offset;
    let minutes = i64::from(zone.time_minute);
    let east = i64::from(zone.time_hour) * 60 + if zone.time_hour < 0 { -minutes } else { minutes };
    let clock = i64::from(date.time_hour) * 60 + i64::from(date.time_minute) - east;
    let seconds = days(year, month, day) * 86_400 + clock * 60;
    let whole = Duration::from_secs(u64::try_from(seconds).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(whole + Duration::from_secs_f64(date.time_second))
}

/// Days from 1970-01-01 in the Gregorian calendar, years counted from March so that a leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year / 4 - year / 100 + year / 400;
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(text: &str) -> Option<f64> {
        let date = quick_m3u8::date::parse(text).unwrap();
        moment(date).map(|at| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64())
    }

    #[test]
    fn dates_with_zones_leap_days_and_fractions_are_points_in_time() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0.0),
            ("2000-02-29T12:00:00Z", 951_825_600.0),
            ("2026-11-21T11:35:39.250Z", 1_795_260_939.25),
            ("2026-11-21T13:35:39.250+02:00", 1_795_260_939.25),
            ("2026-11-21T06:05:39.250-05:30", 1_795_260_939.25),
        ] {
            assert_eq!(unix(text), Some(expected), "{text}");
        }
        assert_eq!(unix("1969-12-31T23:59:59Z"), None);
    }
}

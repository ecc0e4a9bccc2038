//! How times are read and written.

use proptest::prelude::*;

use super::*;

#[test]
fn every_way_to_write_a_time_comes_out_as_utc() {
    for (written, utc) in [
        ("2026-01-31T12:30:00Z", "2026-01-31T12:30:00Z"),
        ("2026-01-31t12:30:00z", "2026-01-31T12:30:00Z"),
        ("2026-01-31 12:30:00", "2026-01-31T12:30:00Z"),
        ("2026-01-31T12:30", "2026-01-31T12:30:00Z"),
        ("2026-01-31T12:30+01", "2026-01-31T11:30:00Z"),
        ("2026-01-31T12:30:00+0530", "2026-01-31T07:00:00Z"),
        ("2026-01-31T12:30:00-05:30", "2026-01-31T18:00:00Z"),
        ("2026-01-31T12:30:00-00:00", "2026-01-31T12:30:00Z"),
        ("2026-01-31T23:30:00-23:59", "2026-02-01T23:29:00Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("2026-01-31T12:30:00.5Z", "2026-01-31T12:30:00.500Z"),
        ("2026-01-31T12:30:00,25+01:00", "2026-01-31T11:30:00.250Z"),
        ("2026-01-31T12:30:00.000001", "2026-01-31T12:30:00.000001Z"),
        (
            "2026-01-31T12:30:00.1234569Z",
            "2026-01-31T12:30:00.123456Z",
        ),
        (
            "1969-12-31T23:59:59.9999999Z",
            "1969-12-31T23:59:59.999999Z",
        ),
        (
            "2026-01-31T12:30:00.999999999999999999Z",
            "2026-01-31T12:30:00.999999Z",
        ),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("0000-12-31T23:59:00-00:01", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ] {
        let time: EventTime = written.parse().expect(written);
        assert_eq!(time.to_string(), utc, "{written}");
    }
}

#[test]
fn other_ways_to_write_a_time_are_refused() {
    for text in [
        "",
        "now",
        "2026-01-31",
        "12:30:00Z",
        "17698626",
        "1e400",
        "99999999999999999999999",
        "20260131T123000Z",
        "2026-W05-6T12:30:00Z",
        "2026-031T12:30:00Z",
        "26-01-31T12:30:00Z",
        "2026-1-31T12:30:00Z",
        "+2026-01-31T12:30:00Z",
        "-2026-01-31T12:30:00Z",
        "12026-01-31T12:30:00Z",
        "2026-01-31  12:30:00Z",
        "2026-01-31_12:30:00Z",
        "2026-01-31T12Z",
        "2026-01-31T12:3Z",
        "2026-01-31T12:30.5Z",
        "2026-01-31T12:30:Z",
        "2026-01-31T12:30:00.Z",
        "2026-01-31T12:30:00.0000000000000000000Z",
        "2026-01-31T12:30:00 Z",
        "2026-01-31T12:30:00ZZ",
        "2026-01-31T12:30:00Z ",
        " 2026-01-31T12:30:00Z",
        "2026-01-31T12:30:00Z\n",
        "2026-01-31T12:30:00Z[Europe/Berlin]",
        "2026-01-31T12:30:00 CET",
        "2026-01-31T12:30:00+",
        "2026-01-31T12:30:00+1",
        "2026-01-31T12:30:00+01:",
        "2026-01-31T12:30:00+01:0",
        "2026-01-31T12:30:00+010",
        "2026-01-31T12:30:00+01:00:00",
        "２026-01-31T12:30:00Z",
    ] {
        assert_eq!(text.parse::<EventTime>(), Err(TimeError::Format), "{text}");
    }
}

#[test]
fn a_unix_time_is_refused_with_the_very_instant_as_it_should_be_written() {
    for (text, unit, time) in [
        ("1769862600", "seconds", "2026-01-31T12:30:00Z"),
        ("1769862600.5", "seconds", "2026-01-31T12:30:00.500Z"),
        (
            "1769862600.123456",
            "seconds",
            "2026-01-31T12:30:00.123456Z",
        ),
        ("1.7698626e9", "seconds", "2026-01-31T12:30:00Z"),
        ("1769862600123", "milliseconds", "2026-01-31T12:30:00.123Z"),
        (
            "1769862600123.4",
            "milliseconds",
            "2026-01-31T12:30:00.123400Z",
        ),
        (
            "1769862600123456",
            "microseconds",
            "2026-01-31T12:30:00.123456Z",
        ),
        (
            "1769862600123456789",
            "nanoseconds",
            "2026-01-31T12:30:00.123456Z",
        ),
    ] {
        let message = text.parse::<EventTime>().expect_err(text).to_string();
        let expected =
            format!("must be an ISO 8601 date and time, not {unit} since 1970; send {time}");
        assert_eq!(message, expected, "{text}");
        assert!(time.parse::<EventTime>().is_ok());
    }
}

#[test]
fn times_that_do_not_exist_are_refused() {
    for text in [
        "2026-00-31T12:30:00Z",
        "2026-13-01T12:30:00Z",
        "2026-02-29T12:30:00Z",
        "2026-04-31T12:30:00Z",
        "2026-01-00T12:30:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:30:61Z",
        "2026-01-31T12:30:00+24:00",
        "2026-01-31T12:30:00+01:60",
    ] {
        assert_eq!(
            text.parse::<EventTime>(),
            Err(TimeError::Nonexistent),
            "{text}"
        );
    }
}

#[test]
fn a_leap_second_is_the_second_after_it_and_only_where_one_can_be() {
    for (written, utc) in [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500Z"),
        ("2017-01-01T05:29:60+05:30", "2017-01-01T00:00:00Z"),
        ("2015-06-30T15:59:60-08:00", "2015-07-01T00:00:00Z"),
    ] {
        let time: EventTime = written.parse().expect(written);
        assert_eq!(time.to_string(), utc, "{written}");
    }
    for text in [
        "2016-12-31T12:59:60Z",
        "2016-12-30T23:59:60Z",
        "2016-12-31T23:59:60+01:00",
    ] {
        let refused = text.parse::<EventTime>();
        assert_eq!(refused, Err(TimeError::NotALeapSecond), "{text}");
    }
}

#[test]
fn years_out_of_range_in_utc_are_refused_in_text_and_clamped_from_clocks() {
    for text in [
        "0000-12-31T23:59:59Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:00-00:01",
        "9999-12-31T23:59:60Z",
    ] {
        let refused = text.parse::<EventTime>();
        assert_eq!(refused, Err(TimeError::OutOfRange), "{text}");
    }
    let [min, max] = [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC].map(EventTime::from);
    assert_eq!(min.to_string(), "0001-01-01T00:00:00Z");
    assert_eq!(max.to_string(), "9999-12-31T23:59:59.999999Z");
}

#[test]
fn nanoseconds_and_leap_seconds_of_a_clock_become_whole_microseconds() {
    for (seconds, nanos, utc) in [
        (0, 1_999, "1970-01-01T00:00:00.000001Z"),
        (-1, 999_999_999, "1969-12-31T23:59:59.999999Z"),
        (59, 1_500_000_000, "1970-01-01T00:01:00.500Z"),
    ] {
        let clock = DateTime::from_timestamp(seconds, nanos).unwrap();
        assert_eq!(EventTime::from(clock).to_string(), utc);
    }
}

#[test]
fn serializes_as_it_displays() {
    let time = EventTime::from(DateTime::UNIX_EPOCH);
    let json = serde_json::to_string(&time).unwrap();
    assert_eq!(json, "\"1970-01-01T00:00:00Z\"");
}

proptest! {
    #[test]
    fn what_is_displayed_reads_back_the_same(micros in MIN_MICROS..=MAX_MICROS) {
        let time = EventTime::from(DateTime::from_timestamp_micros(micros).unwrap());
        prop_assert_eq!(time.as_datetime().timestamp_micros(), micros);
        prop_assert_eq!(time.to_string().parse(), Ok(time));
    }

    #[test]
    fn an_offset_moves_the_time_and_nothing_else(
        minute in MIN_MICROS / 60_000_000 + 1440..MAX_MICROS / 60_000_000 - 1440,
        offset in -1439_i64..=1439,
    ) {
        let time = DateTime::from_timestamp(minute * 60, 0).unwrap();
        let local = (time + TimeDelta::minutes(offset)).format("%Y-%m-%dT%H:%M");
        let sign = if offset < 0 { '-' } else { '+' };
        let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
        let written = format!("{local}{sign}{hours:02}:{minutes:02}");
        prop_assert_eq!(written.parse(), Ok(EventTime::from(time)));
    }

    #[test]
    fn arbitrary_text_is_refused_without_panic(text in "\\PC{0,18}|[-+0-9TtZz:., ]{0,15}") {
        let refused = text.parse::<EventTime>();
        let expected = matches!(refused, Err(TimeError::Format | TimeError::Unix { .. }));
        prop_assert!(expected, "{:?}", refused);
    }

    #[test]
    fn a_time_with_one_byte_changed_is_refused_or_another_time(
        at in 0_usize..32,
        byte in 0_u8..128,
    ) {
        let mut text = *b"2016-12-31T23:59:59.123456+01:30";
        text[at] = byte;
        if let Ok(time) = std::str::from_utf8(&text).unwrap().parse::<EventTime>() {
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }
}

#[test]
fn what_is_read_without_a_calendar_is_what_the_calendar_says() {
    let mut plainly_read = 0;
    for year in [
        1, 4, 99, 100, 400, 1600, 1900, 1969, 1970, 1999, 2000, 2024, 2026, 2100, 9999,
    ] {
        for (month, day) in (1..=12).flat_map(|month| (1..=31).map(move |day| (month, day))) {
            for clock in [
                "00:00:00Z",
                "23:59:59Z",
                "12:30:01.5Z",
                "01:02:03.000001Z",
                "24:00:00Z",
            ] {
                let text = format!("{year:04}-{month:02}-{day:02}T{clock}");
                if let Some(time) = plain(text.as_bytes()) {
                    plainly_read += 1;
                    let expected = Written::read(&text).unwrap().in_utc().unwrap();
                    assert_eq!(time, expected, "{text}");
                }
            }
        }
    }
    assert_eq!(plainly_read, 15 * 12 * 28 * 4);
}

//! No body costs much more than others of its length, whatever is in it. Only ratios are compared, never times.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use event::clock::SystemClock;
use flate2::{Compression, write::GzEncoder};

use super::{
    decode::Decoder,
    media::{Encoding, Format},
    *,
};

/// As long as a body is, compressed or not.
const SIZE: usize = 1 << 18;
const LIMITS: Limits = Limits {
    max_events: 10_000,
    max_event_bytes: SIZE / 4,
};
/// How many times what an ordinary body costs is allowed. That one is valid, so it is read in one pass; what is wrong is read
/// once more, step by step.
const MOST: f64 = 16.0;
/// Of this many runs, the shortest counts, because the others were disturbed.
const RUNS: usize = 3;

/// A text that begins, goes on with numbered parts until it is almost so long, and ends.
fn filled(
    open: &str,
    part: impl Fn(usize) -> String,
    comma: &str,
    close: &str,
    size: usize,
) -> String {
    let mut text = open.to_owned();
    for number in 0.. {
        let part = part(number);
        if text.len() + part.len() + comma.len() + close.len() > size {
            break;
        }
        if number > 0 {
            text += comma;
        }
        text += &part;
    }
    text + close
}

/// Events of the largest size, each made of such parts.
fn events(open: &str, part: impl Fn(usize) -> String, close: &str) -> String {
    let event = filled(open, part, ",", close, LIMITS.max_event_bytes - 1);
    filled("[", |_| event.clone(), ",", "]", SIZE)
}

/// Numbers in no order.
fn scattered(number: usize) -> usize {
    number.wrapping_mul(0x9E37_79B9) & 0xFF_FFFF
}

/// What one body costs, from its first byte to its answer.
fn cost(encoding: Encoding, format: Format, body: &[u8]) -> Duration {
    let receipts = || Receipts::new(&SystemClock, &Arc::default());
    let started = Instant::now();
    let parsed = if format == Format::Ndjson {
        let lines = Decoder::new(encoding, SIZE, Lines::new(LIMITS, receipts())).unwrap();
        let mut pieces = body.chunks(16 * 1024);
        let lines = pieces.try_fold(lines, Decoder::push);
        lines.and_then(Decoder::finish).map(Lines::finish)
    } else {
        let read = |body: Vec<u8>| match format {
            Format::CloudEvents => cloudevents::batch(&body, &LIMITS, &receipts()),
            _ => parse::parse(body, &LIMITS, &receipts()),
        };
        let body = Decoder::new(encoding, SIZE, Vec::new()).unwrap().push(body);
        let body = body.and_then(Decoder::finish);
        body.map(read)
    };
    let answer = parsed.map(|parsed| judge(parsed?, false));
    let took = started.elapsed();
    drop(answer);
    took
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn hostile_texts() -> Vec<(&'static str, Format, String)> {
    use Format::{CloudEvents, Json, Ndjson};
    let cloud_event = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","#;
    vec![
        (
            "unknown members",
            Json,
            events("{", |_| r#""":1"#.into(), "}"),
        ),
        (
            "a member again and again",
            Json,
            events("{", |_| r#""id":1"#.into(), "}"),
        ),
        ("unknown members in lines", Ndjson, {
            let event = filled(
                "{",
                |_| r#""":1"#.into(),
                ",",
                "}\n",
                LIMITS.max_event_bytes,
            );
            event.repeat(4)
        }),
        ("names in no order", Json, {
            let name = |n| format!(r#""{:x}":1"#, scattered(n));
            events(r#"{"id":"1","payload":{"#, name, "}}")
        }),
        ("names with escapes", Json, {
            let name = |n| format!(r#""\n{:x}":1"#, scattered(n));
            events(r#"{"id":"1","payload":{"#, name, "}}")
        }),
        (
            "numbers",
            Json,
            events(r#"{"id":"1","payload":{"a":["#, |_| "1e1".into(), "]}}"),
        ),
        (
            "no events",
            Json,
            filled("[", |_| "1".into(), ",", "]", SIZE),
        ),
        (
            "members without an end",
            Json,
            filled("{", |_| r#""\n":1"#.into(), ",", "}", SIZE),
        ),
        ("depth", Json, "[".repeat(SIZE)),
        ("blank lines", Ndjson, "\n".repeat(SIZE)),
        ("lines that are none", Ndjson, "x\n".repeat(SIZE / 2)),
        ("empty events in lines", Ndjson, "{}\n".repeat(10_000)),
        ("attributes", CloudEvents, {
            let attribute = |n| format!(r#""a{:x}":"""#, scattered(n));
            events(cloud_event, attribute, "}")
        }),
        (
            "attributes that are none",
            CloudEvents,
            events(cloud_event, |_| r#""A":1"#.into(), "}"),
        ),
        ("names in data", CloudEvents, {
            let name = |n| format!(r#""{:x}":1"#, scattered(n));
            events(
                &format!(r#"{cloud_event}"subject":"x","data":{{"#),
                name,
                "}}",
            )
        }),
    ]
}

#[test]
fn no_body_costs_much_more_than_an_ordinary_one_of_its_length() {
    let rows = |n| format!(r#"{{"n":{n},"name":"a","value":1.5}}"#);
    let ordinary = events(r#"{"id":"1","payload":{"rows":["#, rows, "]}}");
    let mut bodies: Vec<(&str, Encoding, Format, Vec<u8>)> = hostile_texts()
        .into_iter()
        .map(|(name, format, text)| (name, Encoding::Identity, format, text.into_bytes()))
        .collect();
    let unknown = events("{", |_| r#""":1"#.into(), "}");
    let (member, frame) = (gzip(b""), zstd::encode_all(&b""[..], 1).unwrap());
    let repeated = |part: &[u8]| part.repeat(SIZE / part.len());
    bodies.extend([
        (
            "unknown members, small",
            Encoding::Gzip,
            Format::Json,
            gzip(unknown.as_bytes()),
        ),
        (
            "empty members",
            Encoding::Gzip,
            Format::Json,
            repeated(&member),
        ),
        (
            "empty frames",
            Encoding::Zstd,
            Format::Ndjson,
            repeated(&frame),
        ),
    ]);
    let shortest = |encoding, format, body: &[u8]| {
        let runs = (0..RUNS).map(|_| cost(encoding, format, body));
        runs.min().unwrap()
    };
    let benign = shortest(Encoding::Identity, Format::Json, ordinary.as_bytes());
    let ratios = bodies.iter().map(|(name, encoding, format, body)| {
        let hostile = shortest(*encoding, *format, body);
        (*name, hostile.as_secs_f64() / benign.as_secs_f64())
    });
    let ratios: Vec<_> = ratios.collect();
    eprintln!("{ratios:.2?}");
    assert!(
        ratios.iter().all(|(_, ratio)| *ratio < MOST),
        "{ratios:.2?}"
    );
}

//! Every reader of bytes from outside is given many small changes of small valid inputs.
//!
//! `MUTATIONS=1000000` makes more changes, and `MUTATIONS_SEED=7` makes others.

use std::{env, fs, panic, path::Path};

use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use tests::properties;

/// How many inputs are made from a corpus, unless `MUTATIONS` says otherwise. They take a few seconds.
const MUTATIONS: usize = 20_000;
/// The seed of the changes, unless `MUTATIONS_SEED` says otherwise. A failure prints it.
const SEED: u64 = 2026;
/// Most changes to one input.
const MAX_CHANGES: usize = 5;
/// Most bytes that one change takes away or doubles.
const MAX_RUN: usize = 32;
/// Longest input: an event over the limit, several times.
const MAX_INPUT: usize = 8 * 1024;

/// What a reader could stumble over.
const TOKENS: [&[u8]; 45] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\"",
    b"\\",
    b"\\\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"{}",
    b"null",
    b"true",
    b"-0",
    b"1e999",
    b"1E131073",
    b"0.1e-16384",
    b"9223372036854775808",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"\\ud83d\\ude00",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xc2\x85",
    b"%00",
    b"%FF%",
    b"\"topic\":",
    b"\"id\":\"1\",",
    b"\"data_base64\":\"AA==\",",
    b"\"payload\":{",
    b"T24:00:00Z",
    b"0000-02-30",
    b"+23:60",
    b"ce-",
    b"frame/2 events=",
    b" coding=lz4",
    b" bytes=4294967295\n",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x01\0\0\0\0",
];
/// What is put in many times at once: long names, deep nesting, many events.
const REPEATED: [&[u8]; 6] = [b"x", b"[", b"{\"a\":", b"\xc3\xa4", b"\n{}", b"9"];
/// How many times, at most.
const MAX_REPEATS: usize = 1200;

#[test]
fn no_body_of_json_breaks_the_parser() {
    hold("event", properties::event);
}

#[test]
fn no_body_of_lines_breaks_the_reader_in_whatever_pieces_it_arrives() {
    hold("ndjson", properties::ndjson);
}

#[test]
fn no_cloudevent_breaks_its_readers() {
    hold("cloudevents", properties::cloudevents);
}

#[test]
fn no_element_of_the_queue_breaks_its_reader() {
    hold("envelope", properties::element);
}

#[test]
fn no_frame_breaks_its_reader() {
    hold("frame", properties::element);
}

#[test]
fn no_cursor_breaks_its_reader() {
    hold("cursor", properties::cursor);
}

#[test]
fn a_seed_makes_the_same_inputs_again() {
    let corpus = corpus("event");
    let inputs = |seed| -> Vec<_> { inputs(&corpus, seed).take(100).collect() };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
}

/// Checks a property with a corpus and its changes, and prints the input with which it does not hold.
fn hold(name: &str, property: fn(&[u8])) {
    let corpus = corpus(name);
    let seed = setting("MUTATIONS_SEED", SEED);
    let mutated = inputs(&corpus, seed).take(setting("MUTATIONS", MUTATIONS));
    for (number, input) in corpus.iter().cloned().chain(mutated).enumerate() {
        if let Err(cause) = panic::catch_unwind(|| property(&input)) {
            eprintln!(
                "{name}, seed {seed}, input {number}: b\"{}\"",
                input.escape_ascii()
            );
            panic::resume_unwind(cause);
        }
    }
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}")),
        Err(_) => default,
    }
}

/// The files of `tests/corpus/NAME`, in the order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let files = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Endless inputs that follow from a corpus and a seed.
fn inputs(corpus: &[Vec<u8>], seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let mut rng = SmallRng::seed_from_u64(seed);
    std::iter::repeat_with(move || {
        let mut input = corpus.choose(&mut rng).unwrap().clone();
        for _ in 0..rng.random_range(1..=MAX_CHANGES) {
            change(&mut input, corpus, &mut rng);
        }
        input.truncate(MAX_INPUT);
        input
    })
}

/// One change at a place of its own.
fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut impl Rng) {
    let at = rng.random_range(0..=input.len());
    let run = at..input.len().min(at + rng.random_range(1..=MAX_RUN));
    match rng.random_range(0..8) {
        0 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
        1 => drop(input.drain(run)),
        2 => {
            let doubled = input[run].to_vec();
            insert(input, at, &doubled);
        }
        3 => insert(input, at, &[rng.random()]),
        4 => input.truncate(at),
        5 => {
            let other = corpus.choose(rng).unwrap();
            let from = rng.random_range(0..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        6 if rng.random_ratio(1, 4) => {
            let repeated = REPEATED.choose(rng).unwrap();
            insert(
                input,
                at,
                &repeated.repeat(rng.random_range(1..=MAX_REPEATS)),
            );
        }
        _ => insert(input, at, TOKENS.choose(rng).unwrap()),
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}

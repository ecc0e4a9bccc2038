//! Which payloads are accepted.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

fn payload(text: &str) -> Result<Payload, PayloadError> {
    let value: &RawValue = serde_json::from_str(text).expect(text);
    Payload::try_from(value)
}

fn nested(depth: usize, open: &str, close: &str) -> String {
    let inner = depth - 1;
    format!(r#"{{"a":{}1{}}}"#, open.repeat(inner), close.repeat(inner))
}

#[test]
fn the_text_is_kept_byte_for_byte() {
    for text in [
        "{}",
        "{ \"b\" : 1.50 ,\n\"a\":[ ] }",
        r#"{"é":"\u00e9\/\ud83e\udd80🦀","":-0.0e+5}"#,
    ] {
        let payload = payload(text).unwrap();
        assert_eq!(payload.as_str(), text);
        assert_eq!(serde_json::to_string(&payload).unwrap(), text);
    }
    assert_eq!(Payload::empty(), payload("{}").unwrap());
    assert_ne!(Payload::empty(), payload("{ }").unwrap());
}

#[test]
fn the_content_stays_out_of_logs() {
    let secret = payload(r#"{"password":"x"}"#).unwrap();
    assert_eq!(format!("{secret:?}"), "Payload(16 bytes)");
}

#[test]
fn only_an_object_is_a_payload() {
    for (text, message) in [
        ("null", "must be a JSON object, got null"),
        ("\"x\"", "must be a JSON object, got a string"),
        ("[{}]", "must be a JSON object, got an array"),
    ] {
        assert_eq!(payload(text).unwrap_err().to_string(), message);
    }
}

#[test]
fn nesting_ends_at_the_bound() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]")] {
        let step = open.matches(['[', '{']).count();
        let deepest = (MAX_PAYLOAD_DEPTH - 1) / step;
        assert!(payload(&nested(deepest + 1, open, close)).is_ok());
        let refused = payload(&nested(deepest + 2, open, close));
        assert!(matches!(refused, Err(PayloadError::TooDeep { .. })));
    }
    // Depth, not count.
    assert!(payload(&format!(r#"{{"a":[{}[]]}}"#, "[],".repeat(1000))).is_ok());
}

#[test]
fn what_jsonb_cannot_hold_is_refused_where_it_is() {
    use PayloadError::{DuplicateName, LoneSurrogate, Nul, NumberOutOfRange, TooDeep};
    for (text, error) in [
        (r#"{"a":"\u0000"}"#, Nul { at: 6 }),
        (r#"{"a":"é\n\u0000"}"#, Nul { at: 10 }),
        (r#"{"\u0000":1}"#, Nul { at: 2 }),
        (r#"{"a":[{"b":"\\\u0000"}]}"#, Nul { at: 14 }),
        (r#"{"a":"\ud800"}"#, LoneSurrogate { at: 6 }),
        (r#"{"a":"\uDBFF\n"}"#, LoneSurrogate { at: 6 }),
        (r#"{"a":"\ud800\ud800\udc00"}"#, LoneSurrogate { at: 6 }),
        (r#"{"a":"\udc00\ud800"}"#, LoneSurrogate { at: 6 }),
        (r#"{"a":"\ud83e\udd80\uDFFF"}"#, LoneSurrogate { at: 18 }),
        (r#"{"\ud800":1}"#, LoneSurrogate { at: 2 }),
        (r#"{"a":[1,1e131072]}"#, NumberOutOfRange { at: 8 }),
        (r#"{"a":-1e-16384 }"#, NumberOutOfRange { at: 5 }),
        (r#"{"a":1,"a":1}"#, DuplicateName { at: 7 }),
        (r#"{"a":1,"b":1,"\u0061" :1}"#, DuplicateName { at: 13 }),
        (r#"{"x":[{"":{},"":[]}]}"#, DuplicateName { at: 13 }),
        (r#"{"a":{"b":1},"b":2,"a":3}"#, DuplicateName { at: 19 }),
        (&nested(129, "[", "]"), TooDeep { at: 132 }),
    ] {
        assert_eq!(payload(text), Err(error), "{text}");
    }
}

#[test]
fn what_only_looks_wrong_is_accepted() {
    for text in [
        r#"{"a":"\\u0000 \\ud800"}"#,
        r#"{"a":"\ud83e\udd80\uD83E\uDD80"}"#,
        r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#,
        r#"{"a":["a","a","b"],"b":"a"}"#,
        r#"{"a":1,"A":1,"a ":1,"á":1,"a\u0301":1}"#,
        r#"{"a":"{[{[\"","b":"1e999999"}"#,
        r#"{"a":true,"b":false,"c":null}"#,
    ] {
        assert!(payload(text).is_ok(), "{text}");
    }
}

#[test]
fn a_duplicate_among_many_names_is_found() {
    let many: Vec<_> = (0..5000).map(|n| format!(r#""{n}":{n}"#)).collect();
    let many = many.join(",");
    assert!(payload(&format!("{{{many}}}")).is_ok());
    let again = payload(&format!(r#"{{{many},"2500":0}}"#));
    let at = many.len() + 2;
    assert_eq!(again, Err(PayloadError::DuplicateName { at }));
}

/// Lengths as PostgreSQL 15 printed them; `None` is "value overflows numeric format".
#[test]
fn numbers_are_held_and_written_out_as_postgresql_does() {
    let zeros = |count| "0".repeat(count);
    for (number, len) in [
        ("0", Some(1)),
        ("-1", Some(2)),
        ("0.10", Some(4)),
        ("1e+5", Some(6)),
        ("1E-3", Some(5)),
        ("12.50e1", Some(5)),
        ("12.50e-1", Some(5)),
        ("-12.50e-1", Some(6)),
        ("0.00e1", Some(3)),
        ("0.05e1", Some(3)),
        ("0e5", Some(1)),
        ("0e131072", Some(1)),
        ("1e131071", Some(131_072)),
        ("1e131072", None),
        ("9.99e131071", Some(131_072)),
        ("1000e131068", Some(131_072)),
        ("1000e131069", None),
        ("0.000001e131077", Some(131_072)),
        ("0.000001e131078", None),
        ("1e-16383", Some(16_385)),
        ("1e-16384", None),
        ("1.0e-16383", None),
        ("0e-16383", Some(16_385)),
        ("0e-16384", None),
        ("1e0000000000000000000000000005", Some(6)),
        ("0e9999999999999999999", None),
        ("1e-9999999999999999999", None),
        ("1e9223372036854775807", None),
        ("1e-9223372036854775808", None),
        (&format!("0.{}1e131272", zeros(200)), Some(131_072)),
        (&format!("0.{}1e131273", zeros(200)), None),
        (&format!("1{}e-16383", zeros(16_383)), Some(16_385)),
        (&format!("1{}e-16384", zeros(16_383)), None),
        (&format!("0.{}", zeros(16_383)), Some(16_385)),
        (&format!("0.{}", zeros(16_384)), None),
        (&format!("0.{}e1", zeros(16_384)), Some(16_385)),
        (&format!("1{}", zeros(131_071)), Some(131_072)),
        (&format!("1{}", zeros(131_072)), None),
    ] {
        let shown = &number[..number.len().min(40)];
        assert_eq!(written_out(number), len, "{shown}");
        let held = payload(&format!(r#"{{"a":[{number}]}}"#));
        let held = held.ok().map(|payload| payload.written_out_len());
        assert_eq!(held, len.map(|len| len + r#"{"a":[]}"#.len()), "{shown}");
    }
}

#[test]
fn many_large_numbers_add_up() {
    let written_out = payload(r#"{"a":[1e131071,1e131071,2.5]}"#).unwrap();
    assert_eq!(written_out.written_out_len(), 2 * 131_072 + 13);
}

/// JSON as it may be written, right or wrong for a payload.
#[derive(Debug, Clone)]
enum Tree {
    Scalar(&'static str),
    String(Vec<Piece>),
    Array(Vec<Tree>),
    Object(Vec<(Vec<Piece>, Tree)>),
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Plain(char),
    Escaped(u16),
}

impl Tree {
    fn write(&self, out: &mut String) {
        match self {
            Self::Scalar(text) => out.push_str(text),
            Self::String(pieces) => write_string(pieces, out),
            Self::Array(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    out.push_str(if n > 0 { " , " } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (n, (name, value)) in members.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    write_string(name, out);
                    out.push_str("\n: ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// The rules again, told of the tree instead of the text.
    fn is_faithful(&self) -> bool {
        match self {
            Self::Scalar(_) => true,
            Self::String(pieces) => meaning(pieces).is_some(),
            Self::Array(items) => items.iter().all(Self::is_faithful),
            Self::Object(members) => {
                let names: Option<std::collections::HashSet<_>> =
                    members.iter().map(|(name, _)| meaning(name)).collect();
                names.is_some_and(|names| names.len() == members.len())
                    && members.iter().all(|(_, value)| value.is_faithful())
            }
        }
    }
}

fn write_string(pieces: &[Piece], out: &mut String) {
    out.push('"');
    for piece in pieces {
        match piece {
            Piece::Plain(c @ ('"' | '\\')) => out.extend(['\\', *c]),
            Piece::Plain(c) => out.push(*c),
            Piece::Escaped(unit) => write!(out, "\\u{unit:04X}").unwrap(),
        }
    }
    out.push('"');
}

fn meaning(pieces: &[Piece]) -> Option<String> {
    let mut units = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Plain(c) => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            Piece::Escaped(unit) => units.push(*unit),
        }
    }
    let text = String::from_utf16(&units).ok()?;
    (!text.contains('\0')).then_some(text)
}

fn string() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        20 => prop::sample::select(vec!['a', 'b', 'u', '0', '"', '\\', '{', ':', 'é', '🦀'])
            .prop_map(Piece::Plain),
        4 => prop::sample::select(vec![0x61_u16, 0x22, 0x5C, 0xE9]).prop_map(Piece::Escaped),
        1 => prop::sample::select(vec![0_u16, 0xD83E, 0xDD80]).prop_map(Piece::Escaped),
    ];
    let pair = Just(vec![Piece::Escaped(0xD83E), Piece::Escaped(0xDD80)]);
    prop_oneof![4 => prop::collection::vec(piece, 0..5), 1 => pair]
}

fn tree() -> impl Strategy<Value = Tree> {
    let scalars = vec!["null", "true", "false", "0", "-1.5e+3", "1E-3"];
    let leaf = prop_oneof![
        prop::sample::select(scalars).prop_map(Tree::Scalar),
        string().prop_map(Tree::String),
    ];
    let inner = leaf.prop_recursive(4, 24, 4, |inner| {
        let member = (string(), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Tree::Array),
            prop::collection::vec(member, 0..4).prop_map(Tree::Object),
        ]
    });
    prop::collection::vec((string(), inner), 0..4).prop_map(Tree::Object)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn exactly_what_jsonb_holds_faithfully_is_accepted(tree in tree()) {
        let mut text = String::new();
        tree.write(&mut text);
        let accepted = payload(&text);
        prop_assert_eq!(accepted.is_ok(), tree.is_faithful(), "{}: {:?}", text, accepted);
        if accepted.is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}

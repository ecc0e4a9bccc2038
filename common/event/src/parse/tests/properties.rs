//! What holds for every body.

use proptest::prelude::*;
use serde_json::json;

use super::{LIMITS, NOW, parsed};
use crate::{name::MAX_NAME_BYTES, parse::Limits};

/// A JSON string, written plainly or with every character escaped.
fn written(text: &str, escaped: bool) -> String {
    if escaped {
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        format!("\"{}\"", units.collect::<String>())
    } else {
        json!(text).to_string()
    }
}

fn a_name() -> impl Strategy<Value = String> {
    let any = "\\PC{1,60}|[a-z\"\\\\/{}é🦀]{1,40}|[x-z]{255}";
    any.prop_filter("at most 255 bytes", |name| name.len() <= MAX_NAME_BYTES)
}

fn a_payload() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        (-1e9..1e9).prop_map(|value: f64| json!(value)),
        "\\PC{0,20}|[\"\\\\\n🦀]{0,5}".prop_map(|value| json!(value)),
    ];
    let inner = leaf.prop_recursive(5, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|value| json!(value)),
            prop::collection::btree_map("\\PC{0,8}", inner, 0..5).prop_map(|value| json!(value)),
        ]
    });
    let object = prop::collection::btree_map("\\PC{0,8}", inner, 0..5);
    (object, any::<bool>()).prop_map(|(object, pretty)| {
        if pretty {
            serde_json::to_string_pretty(&object).unwrap()
        } else {
            serde_json::to_string(&object).unwrap()
        }
    })
}

proptest! {
    #[test]
    fn a_valid_event_comes_out_as_it_was_sent(
        topic in a_name(),
        event_id in a_name(),
        source in a_name(),
        payload in a_payload(),
        escaped in any::<bool>(),
        short in any::<bool>(),
    ) {
        let event = format!(
            r#"{{"payload": {payload},"{}":{} ,"source":{},"topic":{}}}"#,
            if short { "id" } else { "event_id" },
            written(&event_id, escaped),
            written(&source, escaped),
            written(&topic, escaped),
        );
        let limits = Limits { max_event_bytes: event.len(), ..LIMITS };
        for body in [event.clone(), format!("[{event}]"), format!("{{\"events\":[{event}]}}")] {
            let parsed = parsed(&body, &limits).unwrap();
            let [event] = &parsed.events[..] else {
                return Err(TestCaseError::fail(format!("{body}: {parsed:?}")));
            };
            prop_assert_eq!(event.key(), (&*topic, &*event_id));
            prop_assert_eq!(event.source.as_str(), &source);
            prop_assert_eq!(event.payload.as_str(), &payload);
        }
    }

    #[test]
    fn bytes_that_are_not_json_are_not_a_batch(
        body in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
        prop_assert!(json || parsed(&body, &LIMITS).is_err());
    }

    #[test]
    fn a_damaged_body_is_judged_without_panic(
        payload in a_payload(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let body = format!(
            r#"[{{"topic":"t","event_id":"\u00e9","timestamp":"{NOW}","payload":{payload}}}]"#
        );
        let mut body = body.into_bytes();
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        // serde_json knows no number beyond f64; else it refuses nothing that is fine here.
        if let Ok(parsed) = parsed(&body, &LIMITS)
            && parsed.invalid.count == 0
            && let Err(error) = serde_json::from_slice::<serde_json::Value>(&body)
        {
            prop_assert!(error.to_string().starts_with("number out of range"), "{}", error);
        }
    }
}

"""What the CloudEvents SDK for Python sends, in each of its modes, comes back from GET /events.

Run by scripts/test-sdk, which names the program in EVENT_AGGREGATOR.
"""

import base64
import json
import unittest
from datetime import datetime, timedelta, timezone

from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from program import Program

# Attributes with a member of their own in what is stored.
OWN_MEMBER = {"specversion", "id", "source", "type", "time"}


def batch(events):
    """The SDK has no batches: this is an array of what it makes of each event."""
    bodies = [to_structured_event(event).body for event in events]
    return HTTPMessage({"content-type": "application/cloudevents-batch+json"}, b"[" + b",".join(bodies) + b"]")


# How each mode sends some events.
MODES = {
    "structured": lambda events: map(to_structured_event, events),
    "binary": lambda events: map(to_binary_event, events),
    "batch": lambda events: [batch(events)],
}


def event(name, data=None, **attributes):
    return CloudEvent({"type": "test", "source": "/sdk", "id": name, **attributes}, data)


def all_kinds(prefix):
    """Events of all kinds, with types that begin so."""
    india, pacific = timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))
    kinds = [
        event(
            "object",
            {"city": "København", "snow": "☃ 😀", "deep": {"list": [1, 2.5, None, True]}, "quote": '"\\\n'},
            datacontenttype="application/json",
        ),
        event("vendor", {"a": 1}, datacontenttype="application/vnd.example+json"),
        event("text", 'Grüße,\n"日本" 😀', datacontenttype="text/plain; charset=utf-8"),
        event("xml", '<much wow="ü"/>', datacontenttype="application/xml"),
        event("bytes", bytes(range(256)), datacontenttype="application/octet-stream"),
        event("nothing"),
        event(
            "attributes",
            {"a": 1},
            datacontenttype="application/json",
            subject="straße/ä 100 % \"quoted\" \\ 😀",
            dataschema="https://example.com/schema?v=1#x",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            count=5,
            flag=True,
        ),
        event('id "ä" 100 % 日本', source="/käse?a=b c&d=%41"),
        event("utc", time=datetime(2026, 1, 1, 12, 0, 0, 123456, timezone.utc)),
        event("east", time=datetime(2026, 1, 1, 1, 30, tzinfo=india)),
        event("west", time=datetime(2025, 12, 31, 23, 59, 59, 1, tzinfo=pacific)),
    ]
    for kind in kinds:
        kind.get_attributes()["type"] = f"{prefix}.größe.{kind.get_id()}"
    return kinds


def payload(sent, mode):
    """What docs/HTTP.md says that data and attributes become."""
    attributes = {name: value for name, value in sent.get_attributes().items() if name not in OWN_MEMBER}
    if attributes.get("datacontenttype") == "application/json":
        del attributes["datacontenttype"]
    if mode == "binary":
        # A header is text.
        attributes = {name: str(value) for name, value in attributes.items()}
    match sent.get_data():
        case None:
            members = {}
        case bytes(data):
            members = {"data_base64": base64.b64encode(data).decode()}
        case str(data):
            members = {"data": data}
        case data:
            members = dict(data)
    return members | ({"cloudevents": attributes} if attributes else {})


class CloudEventsSdk(unittest.TestCase):
    def setUp(self):
        self.program = Program()
        self.addCleanup(self.program.stop)

    def publish(self, messages, count=1):
        for message in messages:
            status, answer = self.program.ask("POST", "/publish", message)
            self.assertEqual((status, answer.get("accepted")), (202, count), answer)

    def test_events_of_all_kinds_come_back_as_they_were_sent_in_each_mode(self):
        for mode, messages in MODES.items():
            sent = all_kinds(mode)
            self.publish(messages(sent), count=len(sent) if mode == "batch" else 1)
            stored = {found["topic"]: found for found in self.program.events()}
            for one in sent:
                with self.subTest(mode=mode, id=one.get_id()):
                    found = stored[one.get_type()]
                    self.assertEqual(found["event_id"], one.get_id())
                    self.assertEqual(found["source"], one.get_source())
                    # Python 3.10 reads no Z.
                    timestamp = found["timestamp"].replace("Z", "+00:00")
                    self.assertEqual(datetime.fromisoformat(timestamp), one.get_time())
                    self.assertEqual(found["payload"], payload(one, mode))

    def test_one_event_in_three_modes_is_stored_once(self):
        for messages in MODES.values():
            self.publish(messages([event("same", {"total": 10}, datacontenttype="application/json")]))
        self.assertEqual([found["payload"] for found in self.program.events()], [{"total": 10}])
        _, counters = self.program.ask("GET", "/stats")
        self.assertEqual((counters["received"], counters["duplicate_dropped"]), (3, 2))

    def test_data_whose_type_is_not_told_is_json_if_it_can_be_read_as_that(self):
        message = to_binary_event(event("untold", {"total": 10}))
        self.assertNotIn("content-type", message.headers)
        self.publish([message])
        [found] = self.program.events()
        self.assertEqual(found["payload"], {"total": 10})


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""What schemathesis must know to send what the description says: how bodies are written and compressed."""

import gzip
import json
import struct
import unicodedata

import schemathesis

# Most bytes in one raw block of zstd (RFC 8878, section 3.1.1.2).
ZSTD_BLOCK = 128 * 1024
# Members of a CloudEvent that its schema describes one by one.
ATTRIBUTES = {
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "subject",
    "dataschema",
    "datacontenttype",
    "data_base64",
}


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx, value):
    """An array is a body of lines; what is none stays one line, which is as wrong."""
    if isinstance(value, bytes):
        return value
    lines = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@schemathesis.hook
def before_call(context, case, kwargs):
    """A body is compressed as its Content-Encoding says, and what schemas leave to words is as the words want it."""
    if (case.media_type or "").startswith("application/cloudevents"):
        case.body = each(case.body, cloud_event)
    elif isinstance(case.body, dict) and "events" in case.body:
        case.body = case.body | {"events": each(case.body["events"], event)}
    else:
        case.body = each(case.body, event)
    encoding = (case.headers or {}).get("Content-Encoding")
    compress = {"gzip": gzip.compress, "zstd": zstd}.get(encoding)
    if compress:
        kwargs["auth"] = Compress(compress, kwargs.get("auth"))


def each(body, change):
    """The body with each object changed that it is or has."""
    if isinstance(body, list):
        return [change(one) if isinstance(one, dict) else one for one in body]
    return change(body) if isinstance(body, dict) else body


def event(members):
    """Payloads are free-form for generators of clients; PostgreSQL stores no U+0000."""
    return {name: storable(value) if name == "payload" else value for name, value in members.items()}


def cloud_event(members):
    """Data, too, is free-form, and so are extensions: those that have no type of CloudEvents are left out."""
    changed = {}
    for name, value in members.items():
        if name == "data":
            changed[name] = storable(value)
        elif name in ATTRIBUTES:
            changed[name] = value
        elif value is None or isinstance(value, bool):
            changed[name] = value
        elif isinstance(value, str):
            changed[name] = "".join(symbol for symbol in value if unicodedata.category(symbol) != "Cc")
        elif isinstance(value, int) and -(2**31) <= value < 2**31:
            changed[name] = value
    return changed


def storable(value):
    """The value without U+0000."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [storable(one) for one in value]
    if isinstance(value, dict):
        return {storable(name): storable(one) for name, one in value.items()}
    return value


class Compress:
    """requests lets an "auth" change a request when all else of it is made."""

    def __init__(self, compress, auth):
        self.compress = compress
        self.auth = auth

    def __call__(self, request):
        if self.auth:
            request = self.auth(request)
        if request.body:
            body = request.body if isinstance(request.body, bytes) else request.body.encode()
            request.prepare_body(self.compress(body), None)
        return request


def zstd(data):
    """Raw blocks in one frame: zstd without compression, for which nothing need be installed."""
    frame = struct.pack("<IBB", 0xFD2FB528, 0, (17 - 10) << 3)
    blocks = [data[at : at + ZSTD_BLOCK] for at in range(0, len(data), ZSTD_BLOCK)] or [b""]
    for number, block in enumerate(blocks):
        last = number == len(blocks) - 1
        frame += struct.pack("<I", len(block) << 3 | last)[:3] + block
    return frame

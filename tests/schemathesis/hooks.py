"""What schemathesis must know to send what the description says: how bodies are written and compressed."""

import gzip
import json
import struct

import schemathesis

# Most bytes in one raw block of zstd (RFC 8878, section 3.1.1.2).
ZSTD_BLOCK = 128 * 1024


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx, value):
    """An array is a body of lines; what is none stays one line, which is as wrong."""
    if isinstance(value, bytes):
        return value
    lines = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@schemathesis.hook
def before_call(context, case, kwargs):
    """A body is compressed as its Content-Encoding says, and CloudEvents are as their specification wants them."""
    if (case.media_type or "").startswith("application/cloudevents"):
        several = isinstance(case.body, list)
        case.body = [whole_numbers(event) for event in case.body] if several else whole_numbers(case.body)
    encoding = (case.headers or {}).get("Content-Encoding")
    compress = {"gzip": gzip.compress, "zstd": zstd}.get(encoding)
    if compress:
        kwargs["auth"] = Compress(compress, kwargs.get("auth"))


def whole_numbers(event):
    """JSON Schema takes 1.0 for a whole number, CloudEvents do not (JSON format, section 2.2)."""
    if not isinstance(event, dict):
        return event
    whole = lambda value: isinstance(value, float) and value.is_integer()
    return {name: int(value) if name != "data" and whole(value) else value for name, value in event.items()}


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

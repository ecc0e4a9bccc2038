"""Clients that are generated from the description of a running server publish in every form and read back.

Run by scripts/test-clients, which names the program in EVENT_AGGREGATOR, the folder with the Python generator in
PYTHON_TOOLS, and the folder with the TypeScript generator and compiler in NODE_TOOLS.
"""

import compileall
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from program import Program

# How long a generator, a compiler or a generated client may take, in seconds.
DONE_WITHIN = 120

# Schemas that are no class in Python: texts, lists, choices of others, and CloudEvents, which openapi-python-client
# cannot send beside another list.
NO_CLASS = {
    "CloudEvent",
    "CloudEventBatch",
    "Cursor",
    "Event",
    "EventId",
    "EventLines",
    "EventList",
    "Events",
    "Ingested",
    "Selected",
    "Source",
    "Step",
    "Time",
    "TimeSpan",
    "Topic",
    "TopicCursor",
}

TYPESCRIPT = Path(__file__).parent.parent / "typescript"


def run(*command, cwd, env=None):
    """What the command says; fails with all of that if the command does."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DONE_WITHIN,
    )
    if done.returncode != 0:
        raise AssertionError(f"{command[0]} ends with {done.returncode}:\n{done.stdout}")
    return done.stdout


class Generated(unittest.TestCase):
    def setUp(self):
        self.program = Program()
        self.addCleanup(self.program.stop)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def stored(self):
        return {event["event_id"]: event["payload"] for event in self.program.events()}


class PythonClient(Generated):
    """openapi-python-client."""

    def setUp(self):
        super().setUp()
        tools = os.environ["PYTHON_TOOLS"]
        run(
            f"{tools}/openapi-python-client",
            *("generate", "--url", f"{self.program.url}/openapi.json"),
            *("--meta", "none", "--output-path", self.folder / "generated"),
            cwd=self.folder,
            env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        )
        sys.path.insert(0, str(self.folder))
        self.addCleanup(self.forget)
        self.models = importlib.import_module("generated.models")
        self.client = importlib.import_module("generated").Client(base_url=self.program.url)
        self.addCleanup(lambda: self.client.get_httpx_client().close())

    def forget(self):
        sys.path.remove(str(self.folder))
        for name in [name for name in sys.modules if name.split(".")[0] == "generated"]:
            del sys.modules[name]

    def call(self, operation, **arguments):
        """The answer of an operation such as `events_in.publish`, as one of the models."""
        module = importlib.import_module(f"generated.api.{operation}")
        return module.sync(client=self.client, **arguments)

    def test_every_schema_has_its_class_and_every_module_compiles(self):
        self.assertTrue(compileall.compile_dir(self.folder, quiet=1))
        _, description = self.program.ask("GET", "/openapi.json")
        missing = {name for name in description["components"]["schemas"] if not hasattr(self.models, name)}
        self.assertEqual(missing, NO_CLASS)

    def test_events_are_published_in_every_form_and_read_back(self):
        models = self.models
        payload = models.Payload.from_dict({"total": 10, "lines": [{"a": [1, None, True, "é"]}], "deep": {}})
        full = models.FullEvent(topic="orders", event_id="full", source="shop", payload=payload)
        nulls = models.FullEvent(topic="orders", event_id="plain")
        short = models.ShortEvent(id="short", payload=payload)
        for body, count in [
            (full, 1),
            (short, 1),
            ([full, nulls, short], 3),
            (models.EventBatch(events=[nulls, full]), 2),
        ]:
            answer = self.call("events_in.publish", body=body)
            self.assertIsInstance(answer, models.Published, answer)
            self.assertEqual((answer.accepted, answer.rejected), (count, 0))
        ingested = self.call("events_in.ingest", body=[full, models.ShortEvent(id="new")])
        self.assertEqual([one.status.value for one in ingested.results], ["duplicate", "accepted"])

        page = self.call("events_out.list_events", topic="orders", limit=10)
        self.assertEqual([event.event_id for event in page.events], ["full", "plain"])
        self.assertIsNone(page.next_cursor)
        event = self.call("events_out.get_event", topic="default", event_id="short")
        self.assertEqual(event.payload.to_dict(), payload.to_dict())
        counters = self.call("events_out.stats")
        self.assertEqual((counters.received, counters.unique_processed, counters.duplicate_dropped), (9, 4, 5))
        self.assertEqual(counters.topics.to_dict(), {"default": 2, "orders": 2})

    def test_what_is_refused_is_a_problem(self):
        answer = self.call("events_in.publish", body=self.models.FullEvent(topic="", event_id="a"))
        self.assertEqual((type(answer), answer.status), (self.models.Problem, 400))
        self.assertEqual([item.index for item in answer.errors], [0])
        answer = self.call("events_out.get_event", topic="orders", event_id="unknown")
        self.assertEqual((type(answer), answer.status), (self.models.Problem, 404))
        letters = self.call("dead_letters.replay_dead_letters", body=self.models.SelectedAll(all_=True))
        self.assertEqual((letters.accepted, letters.next_cursor), (0, None))


@unittest.skipUnless("NODE_TOOLS" in os.environ, "there is no npm here, or its packages cannot be had")
class TypeScriptClient(Generated):
    """openapi-typescript and openapi-fetch."""

    def test_a_client_compiles_publishes_in_every_form_and_reads_back(self):
        tools = Path(os.environ["NODE_TOOLS"])
        for file in ["client.ts", "tsconfig.json", "package.json"]:
            shutil.copy(TYPESCRIPT / file, self.folder)
        (self.folder / "node_modules").symlink_to(tools)
        description = f"{self.program.url}/openapi.json"
        run(tools / ".bin/openapi-typescript", description, "--output", "schema.d.ts", cwd=self.folder)
        run(tools / ".bin/tsc", "--project", ".", cwd=self.folder)
        counters = run("node", "client.js", self.program.url, cwd=self.folder)
        self.assertEqual(json.loads(counters), {"received": 12, "unique": 9})
        payload = {"total": 10, "lines": [{"a": [1, None, True, "é"]}], "deep": {}}
        stored = self.stored()
        self.assertEqual(stored["full"], payload)
        self.assertEqual(stored["cloud"], payload | {"cloudevents": {"subject": "s", "priority": 3}})
        self.assertEqual(len(stored), 9)


if __name__ == "__main__":
    unittest.main(verbosity=2)

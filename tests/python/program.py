"""A running server for tests that are written in Python. EVENT_AGGREGATOR names the program."""

import json
import os
import re
import subprocess
import tempfile
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep

# How long the program may take to start, to answer and to stop, in seconds.
STARTS_WITHIN = 30
ANSWERS_WITHIN = 10
STOPS_WITHIN = 40


class Program:
    """The standalone program with an empty database, on a port that the system chose."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.log = Path(self.folder.name, "log")
        environment = {
            "BIND_ADDR": "127.0.0.1:0",
            "DATABASE_URL": f"sqlite://{self.folder.name}/events.db",
            "LOG_FORMAT": "json",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [os.environ["EVENT_AGGREGATOR"]], env=environment, stdout=subprocess.DEVNULL, stderr=log
            )
        try:
            self.port = self._port()
        except BaseException:
            self.stop()
            raise

    def _port(self):
        deadline = monotonic() + STARTS_WITHIN
        while monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r'"server\.port":(\d+)', self.log.read_text()):
                return int(found[1])
            sleep(0.05)
        raise RuntimeError(f"the program does not start: {self.log.read_text()}")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, message=None):
        """Status and JSON of the answer. Nothing is added to the message: http.client makes up no Content-Type."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=ANSWERS_WITHIN)
        try:
            body, headers = (message.body, message.headers) if message else (b"", {})
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, json.load(response)
        finally:
            connection.close()

    def events(self):
        status, page = self.ask("GET", "/events?limit=1000")
        assert status == 200 and page["next_cursor"] is None, page
        return page["events"]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

"""A server of real runs, and what speaks to it as a browser would, or would not."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

from pipetrace import alive
from pipetrace.records import Ended, Epoch, Fact, Provenance, Score, Training
from pipetrace.serving.process import Served, desk_of, served
from pipetrace.tracefile import Writer

STARTED = "2026-01-0{}T10:00:00+00:00"


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: dict[str, str]
    text: str


class Client:
    """Speaks to a server, and says of itself what it is told to."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self.host = parts.netloc
        self.token = parse_qs(parts.query)["token"][0]

    def ask(
        self, path: str, method: str = "GET", body: Any = None, token: str | None = None,
        **headers: str,
    ) -> Answer:  # fmt: skip
        """Send one request, with the token unless another is given."""
        connection = http.client.HTTPConnection(self.host, timeout=20)
        given = self.token if token is None else token
        whole = f"{path}{'&' if '?' in path else '?'}token={given}" if given else path
        sent = {"Host": self.host, **{key.replace("_", "-"): headers[key] for key in headers}}
        text = body if isinstance(body, (str, type(None))) else json.dumps(body)
        connection.putrequest(method, whole, skip_host=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        if text is not None:
            connection.putheader("Content-Length", str(len(text.encode())))
        connection.endheaders(None if text is None else text.encode())
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        told = Answer(answer.status, found, answer.read().decode())
        connection.close()
        return told

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        """Post as our own page does."""
        ours = {"Origin": f"http://{self.host}", "Content_Type": "application/json"}
        return self.ask(path, "POST", body, **{**ours, **headers})

    @contextmanager
    def events(self, path: str, since: int | str = 0) -> Iterator[Iterator[dict[str, Any]]]:
        """Follow what is new, one message after the other."""
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.request("GET", f"{path}?token={self.token}&since={since}")
        answer = connection.getresponse()
        assert answer.headers["content-type"].startswith("text/event-stream")

        def messages() -> Iterator[dict[str, Any]]:
            for line in answer:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])

        try:
            yield messages()
        finally:
            connection.close()

    def runs(self) -> list[dict[str, Any]]:
        """Return the list of runs, as the document of the list holds it."""
        return embedded(self.ask("/").text)["runs"]


def embedded(document: str) -> dict[str, Any]:
    """Return the values that a document was given."""
    values = document.partition('id="data">')[2].partition("</script>")[0]
    found: dict[str, Any] = json.loads(values)
    return found


def epoch(index: int, loss: float) -> Epoch:
    return Epoch(training=0, index=index, rule="loader", steps=4, score=Score(rows=8, loss=loss))


def begin(path: Path, name: str = "train", day: int = 1, **more: Any) -> Writer:
    """Begin to write a run, as this process."""
    writer = Writer(path)
    writer.append(Provenance(name=name, origin="script", path=f"{name}.py", process=alive.own(),
                             started=STARTED.format(day), **more))  # fmt: skip
    writer.append(Training(id=0, model=0, optimizer="SGD"))
    writer.flush()
    return writer


def write(path: Path, epochs: int = 2, end: bool = True, **more: Any) -> None:
    """Write a whole run."""
    writer = begin(path, path.name.partition(".")[0], **more)
    facts: list[Fact] = [epoch(index, 1 / index) for index in range(1, epochs + 1)]
    for fact in facts:
        writer.append(fact)
    if end:
        writer.append(Ended(status="finished", seconds=1.0))
    writer.close()


def until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


Serve = Callable[[Path], Client]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return what serves a folder or a run until the test is over."""
    with ExitStack() as stack:

        def start(place: Path) -> Client:
            make, path = desk_of(place)
            server: Served = stack.enter_context(served(make, 0, path))
            return Client(server.url)

        yield start

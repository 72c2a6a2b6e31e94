"""What a reader asks for is done in the process that ran the script, and nobody else can ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client as Caller
from pathlib import Path

import pytest

from pipetrace.errors import PipetraceError
from pipetrace.serving import VARIABLE
from pipetrace.serving.app import Desk
from pipetrace.serving.channel import RunSource
from pipetrace.serving.errands import Line
from pipetrace.serving.followed import Followed
from pipetrace.serving.process import served
from pipetrace.serving.shelf import Shelf
from serving.conftest import Client, embedded, until, write

CHILD = """
import os
from pipetrace.blocks import Bar, Bars
from pipetrace.errors import PipetraceError
from pipetrace.serving import called
from pipetrace.serving.errands import attend

def rerun(arguments):
    if arguments.get("p") == 2:
        raise PipetraceError("p is 2, and must be from 0 to 1.")
    if arguments.get("p") == "die":
        os._exit(9)
    share = arguments["p"] * float("nan") if arguments.get("training") else arguments["p"]
    return [Bars(bars=(Bar(label=str(os.getpid()), share=share, value=""),))]

call = called()
assert "PIPETRACE_LIVE" not in os.environ
attend(call, {"rerun": rerun}, "finished", 3)
print("went on", flush=True)
raise SystemExit(3)
"""


@contextmanager
def calling(line: Line) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, **line.environment}
    process = subprocess.Popen([sys.executable, "-c", CHILD], env=environment, text=True,
                               stdout=subprocess.PIPE)  # fmt: skip
    with process:
        try:
            until(lambda: line.connected)
            yield process
        finally:
            line.close()
            # Before its stdout is closed: it says what it ends with.
            process.wait(60)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def test_the_process_does_what_is_asked_until_it_is_let_go(line: Line):
    assert line.actions == ()
    with pytest.raises(PipetraceError, match="has ended"):
        line.ask("rerun", {})
    with calling(line) as process:
        assert (line.actions, line.status, line.code) == (("rerun",), "finished", 3)
        (block,) = line.ask("rerun", {"p": 0.5})
        assert block["block"] == "bars"
        assert block["bars"][0] == {"label": str(process.pid), "share": 0.5, "value": ""}
        (block,) = line.ask("rerun", {"p": 0.5, "training": True})
        assert block["bars"][0]["share"] == "NaN"
        with pytest.raises(PipetraceError, match=r"^p is 2, and must be from 0 to 1\.$"):
            line.ask("rerun", {"p": 2})
        with pytest.raises(PipetraceError, match="KeyError"):
            line.ask("rerun", {})
        assert process.poll() is None
    assert process.returncode == 3


def test_a_process_that_dies_is_said_to_have_ended(line: Line):
    with calling(line):
        with pytest.raises(PipetraceError, match="has ended"):
            line.ask("rerun", {"p": "die"})
        assert line.actions == ()


def test_who_does_not_know_the_key_is_not_heard(line: Line):
    told = json.loads(line.environment[VARIABLE])
    with pytest.raises(AuthenticationError):
        Caller(told["address"], authkey=b"guessed")
    assert not line.connected
    with calling(line):
        assert line.actions == ("rerun",)


def test_a_page_offers_the_actions_and_answers_with_blocks(line: Line, tmp_path: Path):
    path = tmp_path / "a.pipetrace"
    write(path)
    write(tmp_path / "b.pipetrace")
    begun = Followed(lambda: [path])
    desk = Desk(Shelf(tmp_path), RunSource(begun, lambda: line if line.connected else None))
    with served(lambda: desk, path="/run/live") as server:
        client = Client(server.url)
        assert embedded(client.ask("/run/live").text)["actions"] == []
        asked = {"name": "rerun", "arguments": {"p": 0.25}}
        assert client.post("/run/live/act", asked).status == 409
        ids = {run["name"]: run["id"] for run in client.runs()}
        with client.events("/run/live/events", 1) as news, calling(line) as process:
            assert next(news)["actions"] == ["rerun"]
            for name in ("live", ids["a"]):
                answer = client.post(f"/run/{name}/act", asked)
                assert answer.status == 200
                assert json.loads(answer.text)["blocks"][0]["bars"][0]["share"] == 0.25
            assert client.post(f"/run/{ids['b']}/act", asked).status == 409
            for wrong, status in (
                ({"name": "rerun", "arguments": {"p": 2}}, 409),
                ({"name": "other"}, 404),
                ({"name": "rerun", "more": 1}, 400),
                ("not json", 400),
                ({"name": "rerun", "arguments": {"p": "x" * 100_000}}, 413),
            ):
                answer = client.post("/run/live/act", wrong)
                assert answer.status == status, wrong
                assert json.loads(answer.text)["error"]
            process.kill()
            process.wait()
            with pytest.raises(PipetraceError):
                line.ask("rerun", {"p": 0.5})
            assert next(news)["actions"] == []

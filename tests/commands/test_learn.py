"""`pipetrace learn`, `lessons` and `quiz` as they are typed."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipetrace.learned import Answer, Sitting
from pipetrace.learner.log import Log
from pipetrace.lessons.content import MODES

LESSON = """\
id = "tiny"
title = "Tiny"
words = "A small lesson."
example = "example.py"
"""
EXAMPLE = """\
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x = torch.randn(64, 8)
y = (x[:, 0] > 0).long()
model = nn.Sequential(nn.Dropout(0.3), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(2):
    model.train()
    for rows in range(0, 48, 16):
        optimizer.zero_grad()
        F.cross_entropy(model(x[rows : rows + 16]), y[rows : rows + 16]).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(F.cross_entropy(model(x[48:]), y[48:]).item())
"""


@pytest.fixture
def lesson(tmp_path: Path) -> Path:
    """Return a lesson of one's own, without templates."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "lesson.toml").write_text(LESSON)
    (folder / "example.py").write_text(EXAMPLE)
    (folder / "content.md").write_text(
        "## why\nThe model has {run.parameters} parameters.\n\n## trace\n!section flow\n\n"
        "## practice\n!practice\n\n## review\n!exam\n"
    )
    return folder


def pipetrace(folder: Path, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "100", "DISPLAY": "", "BROWSER": ""}
    return subprocess.run(
        [sys.executable, "-m", "pipetrace", *words], cwd=folder, input=said, text=True,
        capture_output=True, env=environment, check=False,
    )  # fmt: skip


def test_a_lesson_of_ones_own_in_the_terminal_and_as_a_file(lesson: Path, tmp_path: Path):
    done = pipetrace(tmp_path, "learn", str(lesson), "why", "--terminal")
    assert done.returncode == 0, done.stderr
    assert "The model has 68 parameters." in done.stdout
    assert "held-out" not in done.stdout  # what the example printed is not the lesson's
    done = pipetrace(tmp_path, "learn", str(lesson), "-o", "lesson.html", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "lesson.html"
    assert "<title>Tiny: a lesson</title>" in (tmp_path / "lesson.html").read_text("utf-8")
    runs = sorted((tmp_path / "pipetrace-runs" / "lessons").glob("*.pipetrace"))
    assert [path.name for path in runs] == ["tiny-2.pipetrace", "tiny.pipetrace"]
    own = pipetrace(tmp_path, "learn", str(lesson), "why", "--terminal", "--run", str(runs[0]))
    assert "The model has 68 parameters." in own.stdout
    assert len(list((tmp_path / "pipetrace-runs" / "lessons").iterdir())) == 4


def test_answers_in_the_terminal_are_kept(lesson: Path, tmp_path: Path):
    done = pipetrace(
        tmp_path, "learn", str(lesson), "practice", "--terminal", "--seed", "3", said="a\nb\nq\n"
    )
    assert done.returncode == 0, done.stderr
    kept = [event for event in Log().events("tiny") if isinstance(event, Answer)]
    assert [event.option for event in kept[:2]] == [0, 1]
    run = str(tmp_path / "pipetrace-runs" / "lessons" / "tiny.pipetrace")
    done = pipetrace(tmp_path, "quiz", run, "--test", said="a\n" * 10)
    assert done.returncode == 0, done.stderr
    assert re.search(r"(strong|growing|not yet): \d+ of 10 right, \d of 3 hard ones\.", done.stdout)
    events = Log().events()
    (begun, ended) = (event for event in events if isinstance(event, Sitting))
    assert (begun.verdict, ended.total) == ("", 10)
    assert (
        sum(isinstance(event, Answer) and event.sitting == ended.sitting for event in events) == 10
    )
    progress = pipetrace(tmp_path, "progress")
    assert "tiny" in progress.stdout


def test_lessons_are_listed(tmp_path: Path):
    done = pipetrace(tmp_path, "lessons", "--json")
    listed = {each["id"]: each for each in json.loads(done.stdout)}
    assert set(listed) >= {"dropout", "batchnorm"}
    assert listed["dropout"]["questions"] >= 60
    assert "Dropout: " in pipetrace(tmp_path, "lessons").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("learn", "nothing"), "There is no lesson 'nothing'. Lessons are: "),
        (("learn", "dropout", "how"), f"how is no mode. Modes are: {', '.join(MODES)}"),
        (("learn", "--run", "lost.pipetrace", "--terminal", "why"), "lost.pipetrace"),
        (("learn", "--output", "no/such/folder.html"), "there is no such folder"),
        (("quiz", "lost.pipetrace"), "lost.pipetrace"),
        (("learn", "--terminal", "-o", "x.html"), "--terminal and --output do not go together"),
    ],
)
def test_what_is_typed_wrong_is_said(tmp_path: Path, words: tuple[str, ...], said: str):
    done = pipetrace(tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_written_lesson_holds_nothing_of_who_wrote_it(lesson: Path, tmp_path: Path):
    Log().append(Answer(lesson="tiny", at=1, question="SECRET-ID", form=0, option=0, right=True))
    done = pipetrace(tmp_path, "learn", str(lesson), "-o", "lesson.html")
    assert done.returncode == 0, done.stderr
    document = (tmp_path / "lesson.html").read_text("utf-8")
    packed = re.search(r'id="data">([^<]*)<', document)
    assert packed is not None
    text = packed.group(1)
    page = text if text.startswith("{") else gzip.decompress(base64.b64decode(text)).decode()
    assert '"learner":"tiny"' in page
    assert "SECRET-ID" not in page


def test_a_quiz_goes_on_where_nothing_can_be_kept(
    lesson: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    assert pipetrace(tmp_path, "run", "--out", "runs", str(lesson / "example.py")).returncode == 0
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PIPETRACE_DATA", str(tmp_path / "file" / "folder"))
    run = str(tmp_path / "runs" / "example.pipetrace")
    done = pipetrace(tmp_path, "quiz", run, said="a\n" * 8)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("nothing is kept of these answers") == 1
    assert "8 in all" in done.stdout


def test_a_port_that_is_taken_is_said_before_anything_runs(lesson: Path, tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = pipetrace(tmp_path, "learn", str(lesson), "--port", port)
    assert done.returncode == 2
    assert f"Port {port} cannot be used" in done.stderr
    assert not (tmp_path / "pipetrace-runs").exists()

"""Every lesson that comes with pipetrace, made whole on a fresh run of its example."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipetrace.learner.log import Log
from pipetrace.learner.schedule import weights
from pipetrace.lessons import folder
from pipetrace.tutoring.tutor import Tutor, run_example


@pytest.fixture(scope="session", params=sorted(folder.found()))
def tutor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tutor:
    """Return the tutor of a lesson, when all of it has been made."""
    place: Path = tmp_path_factory.mktemp(request.param)
    lesson = folder.named(request.param)
    recording = run_example(lesson, place)
    made = Tutor(lesson, recording, log=Log(place / "answers.jsonl"), seed=7, weights=weights())
    made.first()
    for _ in made.rest():
        pass
    return made

"""The script of a study is trained with other settings, apart from the program that was watched."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipetrace.lessons.drafts import LessonError
from pipetrace.lessons.folder import Comparison, Lesson, Setting, Study
from pipetrace.lessons.taught import Curves, Measured, Tried
from pipetrace.probes.execute import apart

Train = Callable[..., Any]


class Trainer:
    """Trains what a lesson's study asks for.

    Raises:
        LessonError: the script has no function `train`, or cannot be run.
    """

    def __init__(self, lesson: Lesson) -> None:
        study = lesson.about.study
        assert study is not None
        self.study: Study = study
        self._path = (lesson.folder / study.script).resolve()
        self._train = _function(self._path)

    def compared(self, comparison: Comparison) -> Iterator[Measured | None]:
        """Train both arms for every seed; yield None between, and what was measured at the end."""
        usual = self.study.settings(self.study.start())
        arms: tuple[list[Curves], list[Curves]] = ([], [])
        for seed in range(comparison.seeds):
            for curves, own in zip(arms, (comparison.with_, comparison.without), strict=True):
                curves.append(self.curves({**usual, **own}, seed))
                self._require(curves[-1], comparison.measure)
                yield None
        yield Measured(
            comparison=comparison, with_=tuple(arms[0]), without=tuple(arms[1])
        )  # fmt: skip

    def tried(self, choices: tuple[int, ...], seed: int = 0) -> Tried:
        """Train one choice of settings."""
        settings, target = self.study.settings(choices), self.study.target
        assert target is not None
        curves = self.curves(settings, seed)
        self._require(curves, target.measure)
        reached = target.reached(curves[target.measure][-1])
        return Tried(choices=choices, settings=settings, seed=seed, curves=curves, reached=reached)

    def curves(self, settings: dict[str, Setting], seed: int) -> Curves:
        """Call `train`, and return what it measured in each epoch.

        Raises:
            LessonError: it raised, or returned something else than numbers of each epoch.
        """
        try:
            with apart(seed):
                found = self._train(seed=seed, **settings)
        except Exception as error:
            given = ", ".join(f"{name}={value!r}" for name, value in settings.items())
            raise LessonError(
                f"{self._path}: train(seed={seed}, {given}) raised {type(error).__name__}: {error}"
            ) from error
        try:
            curves = {str(name): [float(value) for value in found[name]] for name in found}
            whole = bool(curves) and min(map(len, curves.values())) > 0
        except (TypeError, ValueError, KeyError):
            whole = False
        if not whole or len(set(map(len, curves.values()))) > 1:
            raise LessonError(
                f"{self._path}: train() must return a dict of lists, a number for each epoch; "
                f"got {type(found).__name__}."
            )
        return curves

    def _require(self, curves: Curves, measure: str) -> None:
        if measure not in curves:
            raise LessonError(
                f"{self._path}: train() measured {', '.join(curves)}, and no {measure!r}."
            )


def _function(path: Path) -> Train:
    try:
        train: Train | None = runpy.run_path(str(path), run_name="study").get("train")
    except Exception as error:
        raise LessonError(f"{path}: cannot be run: {type(error).__name__}: {error}") from error
    if train is None:
        raise LessonError(f"{path}: a study needs a function train(*, seed, ...).")
    return train

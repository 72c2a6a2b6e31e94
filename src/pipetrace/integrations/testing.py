"""A pytest plugin: the fixture `assert_no_findings` fails a test in whose model a bug is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pipetrace.checks.findings import Finding


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what is typed to choose rules."""
    group = parser.getgroup("pipetrace", "silent bugs in models")
    for name in ("select", "ignore"):
        group.addoption(
            f"--pipetrace-{name}",
            action="append",
            default=[],
            metavar="IDS",
            help=f"rules that `assert_no_findings` shall {name}: PTR101, PTR2",
        )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what no rule is called, once and before any test."""
    typed = {name: _typed(config, name) for name in ("select", "ignore")}
    if not any(typed.values()):
        return
    from pipetrace.checks import judge, selecting
    from pipetrace.errors import PipetraceError

    try:
        for name, words in typed.items():
            selecting.read(words, judge.every_rule(), f"--pipetrace-{name}")
    except PipetraceError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture
def assert_no_findings(request: pytest.FixtureRequest) -> Callable[..., list[Finding]]:
    """Return what checks a model as `pt.check` does, and fails the test on something grave.

    It takes the arguments of `pt.check`, and returns what is not grave. `select` and `ignore`
    stand in place of `--pipetrace-select` and `--pipetrace-ignore`, and these in place of
    `[tool.pipetrace]`.
    """
    config = request.config

    def check(
        model: Any, batch: Any = (), target: Any = None, *, select: Sequence[str] = (),
        ignore: Sequence[str] = (), **steps: Any,
    ) -> list[Finding]:  # fmt: skip
        __tracebackhide__ = True
        from pipetrace.checking import check
        from pipetrace.checks import configuration, judge
        from pipetrace.integrations.observing import written
        from pipetrace.runs import Findings

        chosen = configuration.selection(
            judge.every_rule(),
            select or _typed(config, "select"), ignore or _typed(config, "ignore"),
            config.rootpath,
        )  # fmt: skip
        found = check(model, batch, target, select=chosen.select, ignore=chosen.ignore, **steps)
        found = Findings(
            each for each in found if not configuration.left_out(chosen, each.file, each.id)
        )
        grave = [each for each in found if each.grave]
        if grave:
            pytest.fail(written(grave), pytrace=False)
        return found

    return check


def _typed(config: pytest.Config, name: str) -> list[str]:
    return [part for word in config.getoption(f"--pipetrace-{name}") for part in word.split(",")]

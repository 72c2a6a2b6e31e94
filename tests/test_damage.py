"""A damaged, foreign or hostile run file is refused by name and reason, and executes nothing."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
from pathlib import Path

import pytest

from pipetrace import tracefile
from pipetrace.errors import RunFileError
from pipetrace.records import Fact, Notice
from pipetrace.tracefile import Writer, load


def facts(count: int) -> list[Fact]:
    return [Notice(id=f"n{i}", text=f"number {i} " + "x" * (i * 37 % 400)) for i in range(count)]


def written(path: Path, stated: list[Fact]) -> Path:
    writer = Writer(path)
    for fact in stated:
        writer.append(fact)
    writer.close()
    return path


def refused(path: Path) -> str:
    """Return why a file is refused: one paragraph that names it."""
    with pytest.raises(RunFileError) as error:
        load(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def test_a_file_cut_anywhere_is_refused_or_a_prefix(tmp_path: Path):
    """Also one whose writer was killed, whose log is what is cut."""
    stated = facts(120)
    whole = written(tmp_path / "whole.pipetrace", stated).read_bytes()
    writer = Writer(tmp_path / "killed.pipetrace")
    for number, fact in enumerate(stated):
        writer.append(fact)
        if number % 20 == 19:
            writer.flush()
    main = writer.path.read_bytes() if writer.path else b""
    log = Path(f"{writer.path}-wal").read_bytes()
    writer.abandon()
    cut = tmp_path / "cut.pipetrace"
    lengths, reasons = [], []
    for parts in (
        *((whole[:end], None) for end in range(0, len(whole), 512)),
        *((main, log[:end]) for end in range(0, len(log) + 512, 512)),
        *((main[:end], log) for end in range(0, len(main), 512)),
    ):
        for suffix, part in zip(("", "-wal"), parts, strict=True):
            path = Path(f"{cut}{suffix}")
            path.unlink(missing_ok=True)
            if part is not None:
                path.write_bytes(part)
        Path(f"{cut}-shm").unlink(missing_ok=True)
        try:
            found = load(cut).facts
        except RunFileError as error:
            reasons.append(str(error))
            continue
        assert found == stated[: len(found)]
        lengths.append(len(found))
    assert {0, 20, 40, 120} <= set(lengths)
    assert all(reason.startswith(f"{cut}: ") for reason in reasons)


def test_random_damage_is_refused_or_harmless(tmp_path: Path):
    whole = written(tmp_path / "whole.pipetrace", facts(60)).read_bytes()
    path = tmp_path / "harmed.pipetrace"
    draws = random.Random(3)
    lengths, reasons = set(), []
    for _ in range(300):
        harmed = bytearray(whole)
        for _ in range(draws.randint(1, 6)):
            harmed[draws.randrange(len(harmed))] = draws.randrange(256)
        path.write_bytes(harmed)
        try:
            lengths.add(len(load(path).facts))
        except RunFileError as error:
            reasons.append(str(error))
    assert 60 in lengths
    assert len(reasons) > 50
    assert all(reason.startswith(f"{path}: ") for reason in reasons)


def database(path: Path, *statements: str, version: int = tracefile.VERSION) -> Path:
    """Make an SQLite file that says it is a run file."""
    with contextlib.closing(sqlite3.connect(path)) as made, made:
        made.execute(f"PRAGMA application_id={tracefile.APPLICATION}")
        made.execute(f"PRAGMA user_version={version}")
        for statement in statements:
            made.execute(statement)
    return path


SPIN = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, 'a', i FROM n"


@pytest.mark.parametrize(
    "statements",
    [
        (f"CREATE VIEW facts AS {SPIN}", f"CREATE VIEW series AS {SPIN}"),
        (*tracefile._SCHEMA, "CREATE TRIGGER t INSERT ON facts BEGIN SELECT 1; END"),
        (*tracefile._SCHEMA, "CREATE INDEX i ON facts (kind)"),
        (*tracefile._SCHEMA, "CREATE TABLE more (id)"),
        (*tracefile._SCHEMA, "CREATE VIRTUAL TABLE more USING fts5(a)"),
        (*tracefile._SCHEMA, "ANALYZE", "DROP TABLE series"),
        (tracefile._SCHEMA[0], "CREATE TABLE series (id, name, body)"),
        tracefile._SCHEMA[::-1],
        tracefile._SCHEMA[:1],
        (),
    ],
)
def test_a_schema_that_is_not_ours_is_never_queried(tmp_path: Path, statements: tuple[str, ...]):
    reason = refused(database(tmp_path / "a.pipetrace", *statements))
    assert reason == "the run file is damaged: its tables are not those of a run."


@pytest.mark.parametrize(
    "body",
    [
        "x''", "x'c1'", "'text'", "1.5", "zeroblob(100)", "x'81a46b696e64a46e6f6e65'",
        "x'81a46b696e64a473656564'", "x'" + "91" * 100_000 + "'",
        "x'82a46b696e64a473656564a576616c7565" + "91" * 50_000 + "'",
        "x'83a46b696e64a473656564a576616c756501a46d6f7265" + "91" * 50_000 + "c0'",
    ],
)  # fmt: skip
def test_a_fact_that_is_none_is_refused(tmp_path: Path, body: str):
    insert = f"INSERT INTO facts (kind, body) VALUES ('seed', {body})"
    assert "damaged" in refused(database(tmp_path / "a", *tracefile._SCHEMA, insert))


@pytest.mark.parametrize("body", ["x'00'", "'text'", "7"])
def test_a_series_that_is_none_is_refused(tmp_path: Path, body: str):
    insert = f"INSERT INTO series (name, body) VALUES ('loss', {body})"
    assert "damaged" in refused(database(tmp_path / "a", *tracefile._SCHEMA, insert))


def test_what_is_no_run_file_is_refused_by_name_and_reason(tmp_path: Path):
    path = tmp_path / "a.pipetrace"
    assert refused(path) == "there is no such run file."
    path.touch()
    assert refused(path).startswith("the file is empty")
    path.write_text("SQLite? no, this is prose that somebody renamed")
    assert refused(path) == "this is not a run file of pipetrace."
    path.write_bytes(b"SQLite format 3\0" + bytes(20))
    assert "ends inside its first 100 bytes" in refused(path)
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as foreign, foreign:
        foreign.execute("CREATE TABLE facts (id)")
    assert refused(path).startswith("this is an SQLite file, but not a run file")
    newer = database(tmp_path / "newer", version=tracefile.VERSION + 1)
    assert refused(newer) == (
        f"the file has format {tracefile.VERSION + 1}, this pipetrace reads up to "
        f"{tracefile.VERSION}. Upgrade pipetrace."
    )
    assert refused(tmp_path).startswith("this is a folder")
    assert refused(path / "inside").startswith("the run file cannot be read")
    assert refused(tmp_path / ("n" * 300)).startswith("the run file cannot be read")
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe").startswith("this is not a plain file")
    assert refused(Path("/dev/zero")).startswith("this is not a plain file")

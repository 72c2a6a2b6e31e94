"""An Anki package is read again as what it is, a zip file with a SQLite database."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import sys
import time
import warnings
import zipfile
from pathlib import Path

import msgspec
import pytest

from pipetrace.blocks import Question
from pipetrace.errors import PipetraceError
from pipetrace.views.questions import anki, texts


class Package:
    """What an importer finds in a package."""

    def __init__(self, written: bytes, folder: Path) -> None:
        with zipfile.ZipFile(io.BytesIO(written)) as package:
            assert package.testzip() is None
            self.media = json.loads(package.read("media"))
            package.extract("collection.anki2", folder)
        connection = sqlite3.connect(folder / "collection.anki2")
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        decks, models = connection.execute("SELECT decks, models FROM col").fetchone()
        self.decks = {int(key): each["name"] for key, each in json.loads(decks).items()}
        (self.model,) = json.loads(models).values()
        self.notes = connection.execute("SELECT guid, mid, tags, flds FROM notes").fetchall()
        self.cards = connection.execute("SELECT did FROM cards").fetchall()
        connection.close()

    @property
    def fields(self) -> list[dict[str, str]]:
        names = [field["name"] for field in self.model["flds"]]
        return [dict(zip(names, note[3].split("\x1f"), strict=True)) for note in self.notes]


def test_real_questions(real: list[Question], tmp_path: Path) -> None:
    found = Package(anki.render(real, "Seed"), tmp_path)
    assert "Seed" in found.decks.values()
    assert found.media == {}
    assert len(found.notes) == len(found.cards) == len(real)
    for note, fields, question in zip(found.notes, found.fields, real, strict=True):
        assert note[1] == int(found.model["id"])
        assert note[2].split() == ["pipetrace", question.level]
        assert fields["Key"] == texts.key(question)
        right = next(option for option in question.options if option.correct)
        assert fields["Options"].count("<p><b>") == len(question.options)
        assert fields["Answer"].count("<p><b>") == 1
        assert fields["Others"].count("<p><b>") == len(question.options) - 1
        assert re.findall(r"[A-Za-z]{4,}", right.feedback)[0] in fields["Answer"]
        assert fields["Solution"].count("<li>") == len(question.steps) + len(question.mistakes)
    front, back = found.model["tmpls"][0]["qfmt"], found.model["tmpls"][0]["afmt"]
    assert {"Question", "Options"} <= set(re.findall(r"{{(\w+)}}", front))
    assert {"Answer", "Solution", "Others"} <= set(re.findall(r"{{(\w+)}}", back))
    assert "{{Answer}}" not in front


def test_the_same_questions_keep_their_identity(real: list[Question], tmp_path: Path) -> None:
    first = Package(anki.render(real, "Seed"), tmp_path)
    second = Package(anki.render(real[::-1], "Seed"), tmp_path)
    assert first.decks == second.decks
    assert first.model["id"] == second.model["id"]
    assert {note[0] for note in first.notes} == {note[0] for note in second.notes}
    assert len({note[0] for note in first.notes}) == len(real)
    other = Package(anki.render(real, "Another"), tmp_path)
    assert other.decks != first.decks


def test_the_questions_of_another_run_are_other_notes(real: list[Question], tmp_path: Path) -> None:
    def changed(question: Question, field: str) -> Question:
        if field != "options":
            return msgspec.structs.replace(question, **{field: getattr(question, field) + "9"})
        first, *others = question.options
        options = (msgspec.structs.replace(first, text=first.text + "9"), *others)
        return msgspec.structs.replace(question, options=options)

    both = [*real]
    for field in ("text", "code", "options"):
        both += [changed(question, field) for question in real]
    found = Package(anki.render(both, "Both"), tmp_path)
    assert len({note[0] for note in found.notes}) == 4 * len(real)
    assert {(texts.key(each).rpartition("-")[0]) for each in both} == {
        f"{each.id}-{each.form}" for each in real
    }


def test_hostile_texts(hostile: list[Question], words: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Package(anki.render(hostile, words), tmp_path)
    assert len(found.notes) == len(hostile)
    for fields in found.fields:
        assert len(fields) == 7
        for field in fields.values():
            assert set(re.findall(r"<\s*/?\s*([^\s>/]+)", field)) <= {
                "p", "b", "br", "code", "pre", "ol", "ul", "li",
            }  # fmt: skip
            assert not re.search(r"\[(sound|latex|\$)", field)


def test_without_genanki_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genanki", None)
    with pytest.raises(PipetraceError, match=r'pip install "pipetrace\[teach\]"'):
        anki.render([], "Seed")


def test_anki_itself_imports_and_updates(real: list[Question], tmp_path: Path) -> None:
    reason = "Anki's own importer is not installed: pip install anki"
    collection = pytest.importorskip("anki.collection", reason=reason)
    opened = collection.Collection(str(tmp_path / "mine.anki2"))
    path = tmp_path / "seed.apkg"
    request = collection.ImportAnkiPackageRequest(
        package_path=str(path), options=collection.ImportAnkiPackageOptions()
    )
    path.write_bytes(anki.render(real, "Seed"))
    assert len(opened.import_anki_package(request).log.new) == len(real)
    time.sleep(1.1)  # Anki takes a note for newer by whole seconds
    path.write_bytes(anki.render(real, "Seed"))
    log = opened.import_anki_package(request).log
    assert (len(log.new), len(log.updated)) == (0, len(real))
    card = opened.get_card(opened.find_cards("")[0])
    assert "<p><b>A</b>" in card.question()
    opened.close()

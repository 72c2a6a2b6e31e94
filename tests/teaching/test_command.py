"""`pipetrace questions`: what it writes, what it prints, and what it refuses in a paragraph."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import torch

import pipetrace as pt
from pipetrace.cli import main
from pipetrace.lessons import select
from pipetrace.lessons.registry import Template, templates
from pipetrace.probes.execute import execute
from pipetrace.records import Choice, Question
from pipetrace.teaching import content, parallel, some


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what a refused command says: one paragraph, on stderr."""
    assert main(["questions", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pipetrace: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("form", "start"),
    [("gift", b"// seed: q"), ("moodle", b"<?xml"), ("qti", b"PK"), ("qti2", b"PK"),
     ("anki", b"PK"), ("notebook", b"{"), ("md", b"# ")],
)  # fmt: skip
def test_each_format(
    form: str, start: bytes, run_file: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["questions", str(run_file), "--to", form, "-o", "out", "--count", "5"]) == 0
    assert (folder / "out").read_bytes().startswith(start)
    assert capsys.readouterr().out.startswith("out: 5 questions (")


def test_the_newest_run_is_asked_and_the_file_stands_beside_it(
    run_file: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = folder / "pipetrace-runs"
    runs.mkdir()
    (runs / "seed.pipetrace").write_bytes(run_file.read_bytes())
    assert main(["questions", "--to", "notebook", "--count", "2"]) == 0
    written = runs / "seed-questions.ipynb"
    assert json.loads(written.read_text())["nbformat"] == 4
    capsys.readouterr()
    assert "exists already" in refused(capsys, "--to", "notebook", "--count", "2")


def test_the_seed_decides(run_file: Path, folder: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        main(["questions", str(run_file), "--to", "gift", "--seed", seed, "-o", name])
    first, again, other = ((folder / name).read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_text_goes_to_stdout_without_a_key(
    run_file: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["questions", str(run_file), "-o", "-", "--no-key", "--count", "3"]) == 0
    out = capsysbinary.readouterr().out.decode()
    assert out.count("**Question ") == 3
    assert "Answers" not in out


def test_a_lesson_alone(run_file: Path, folder: Path) -> None:
    main(["questions", str(run_file), "--lesson", "anymodel", "--to", "gift", "-o", "q"])
    identifiers = [line for line in (folder / "q").read_text().splitlines() if "[id:" in line]
    assert identifiers
    assert all("[id:A" in line for line in identifiers)


def test_forms_for_a_class(
    run_file: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["questions", str(run_file), "--forms", "4", "--seed", "7"]
    assert main([*words, "-o", "class"]) == 0
    said = capsys.readouterr().out
    names = sorted(path.name for path in (folder / "class").iterdir())
    assert names == [*(f"form-0{number}.md" for number in (1, 2, 3, 4)), "key.csv", "key.md"]
    rows = list(csv.DictReader((folder / "class" / "key.csv").read_text().splitlines()))
    assert said.startswith(f"class: 4 forms, key.md, key.csv; {len(rows)} questions, ")
    assert len({row["id"] for row in rows}) == len(rows)
    for number in (1, 2, 3, 4):
        form = (folder / "class" / f"form-0{number}.md").read_text()
        own = [row for row in rows if row["form"] == f"form-0{number}"]
        assert form.count("**Question ") == len(own)
        assert "✓" not in form
        assert "Hint" not in form
    assert main([*words, "-o", "class.zip"]) == 0
    with zipfile.ZipFile(folder / "class.zip") as package:
        assert sorted(package.namelist()) == names
        for name in names:
            assert package.read(name) == (folder / "class" / name).read_bytes()
    first = (folder / "class.zip").read_bytes()
    assert main([*words, "-o", "class.zip"]) == 0
    assert (folder / "class.zip").read_bytes() == first


def test_forms_in_another_format_without_a_key(run_file: Path, folder: Path) -> None:
    main(["questions", str(run_file), "--forms", "2", "--to", "moodle", "--no-key", "-o", "class"])
    names = sorted(path.name for path in (folder / "class").iterdir())
    assert names == ["form-01.xml", "form-02.xml"]


def test_forms_share_no_question_while_there_are_others(run_file: Path) -> None:
    candidates, ask = select.asking(pt.load(run_file).recording, execute)
    executed: list[Question] = []

    def noted(template: Template, seed: int) -> Question | None:
        question = ask(template, seed)
        executed.extend([question] if question is not None else [])
        return question

    forms = parallel(candidates, noted, 6, seed=2)
    asked = [question for form in forms for question in form]
    for form in forms:
        assert [each.level for each in form] == ["easy"] * 3 + ["medium"] * 4 + ["hard"] * 3
    assert len({content(each) for each in asked}) == len({each.id for each in asked}) == 60
    assert len(executed) < 90
    whole = select.bank(pt.load(run_file).recording, execute, seed=2000).questions
    assert all(question in whole for question in forms[0])


def made(id: str, level: str, form: int = 0) -> Question:
    choices = (
        Choice(text="a", correct=True, feedback=""),
        Choice(text="b", correct=False, feedback=""),
    )
    return Question(id=id, group="quiz", level=level, text=id, choices=choices, form=form)


def test_where_all_were_asked_they_are_asked_again() -> None:
    levels = {"easy": 6, "medium": 8, "hard": 3}
    candidates = [
        Template(id=f"{level}{at}", group="quiz", level=level, needs="run", words="",
                 write=lambda recording, random: None)
        for level, count in levels.items() for at in range(count)
    ]  # fmt: skip
    forms = parallel(candidates, lambda each, seed: made(each.id, each.level, seed), 4, seed=0)
    for form in forms:
        assert Counter(question.level for question in form) == {"easy": 3, "medium": 4, "hard": 3}
    for first in (0, 2):
        pair = [question.id for form in forms[first : first + 2] for question in form]
        assert len({each for each in pair if not each.startswith("hard")}) == 14
    fewer = [each for each in candidates if each.level != "hard"]
    (form,) = parallel(fewer, lambda each, seed: made(each.id, each.level, seed), 1, seed=0)
    assert Counter(question.level for question in form) == {"easy": 3, "medium": 7}


def test_some_questions_are_of_all_levels_and_keep_their_order() -> None:
    every = [made(f"{level}{at}", level) for level in ("easy", "medium", "hard") for at in range(9)]
    few = some(every, 6, seed=1)
    assert Counter(question.level for question in few) == {"easy": 2, "medium": 2, "hard": 2}
    assert [every.index(question) for question in few] == sorted(map(every.index, few))
    assert some(every, 6, seed=1) == few != some(every, 6, seed=2)
    assert some(every, 27, seed=1) == every


def test_what_cannot_be_done_is_said(
    run_file: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(run_file)
    (folder / "there").mkdir()
    (folder / "file").write_text("mine")
    assert "there is such a folder already" in refused(capsys, run, "--forms", "2", "-o", "there")
    assert "there is such a file already" in refused(capsys, run, "--forms", "2", "-o", "file")
    assert (folder / "file").read_text() == "mine"
    assert "cannot be made" in refused(capsys, run, "--forms", "2", "-o", "no/such")
    assert "no such folder" in refused(capsys, run, "--forms", "2", "-o", "no/such.zip")
    assert "no such folder" in refused(capsys, run, "-o", "no/such.md")
    assert "this is a folder" in refused(capsys, run, "-o", "there")
    assert "runs are never written over" in refused(capsys, run, "-o", run)
    assert "the lessons are anymodel, " in refused(capsys, run, "--lesson", "baking")
    assert "can be asked" in refused(capsys, run, "--count", "5000")
    assert "1<=x<=200" in refused(capsys, run, "--forms", "201")
    assert "0 is not in the range" in refused(capsys, run, "--forms", "0")
    assert "0 is not in the range" in refused(capsys, run, "--count", "0")
    assert "leave out --count or --forms" in refused(capsys, run, "--forms", "2", "--count", "3")
    assert "--no-key is for Markdown" in refused(capsys, run, "--to", "anki", "--no-key")
    assert "Only text goes to stdout" in refused(capsys, run, "--to", "qti", "-o", "-")
    assert "there is no such run file" in refused(capsys, "missing*.pipetrace")


def test_a_run_without_a_forward_is_asked_about_torch_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pt.record(folder / "bare.pipetrace"):
        torch.ones(2)
    assert main(["questions", "bare.pipetrace", "--to", "md", "-o", "bare.md"]) == 0
    asked = set(re.findall(r"\b[A-Z]\d{3}(?=-)", (folder / "bare.md").read_text("utf-8")))
    rest = {each.id: each.needs for each in templates()}
    assert {rest[name] for name in asked} <= {"nothing"}

"""What becomes new reaches every reader once, whatever happens to the file."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipetrace.blocks import Bar, Bars, Page, Section
from pipetrace.following import load_together
from pipetrace.naming import of_rank
from pipetrace.records import Ended, Notice, SourceText
from pipetrace.serving.followed import Followed
from pipetrace.serving.sheet import Sheet
from pipetrace.story.page import page
from pipetrace.tracefile import load
from pipetrace.views import data, html
from serving.conftest import Client, Serve, begin, embedded, epoch, until, write


def merged(known: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
    """Do what the page's own script does with what it is sent."""
    sections = {**known.get("sections", {}), **news["sections"]}
    return {**news, "sections": {name: sections[name] for name in news["order"]}}


def whole(path: Path) -> dict[str, Any]:
    """Return the sections of the page of a file, as a document holds them."""
    sections = data.plain(page(load(path)), html.DIGITS)["sections"]
    return {section["id"]: section for section in sections}


def run_path(client: Client, place: int = 0) -> str:
    return f"/run/{client.runs()[place]['id']}"


def test_a_growing_run_is_sent_piece_by_piece(serve: Serve, tmp_path: Path):
    path = tmp_path / "a.pipetrace"
    writer = begin(path)
    writer.append(SourceText(path="a.py", text="print(1)"))
    writer.flush()
    client = serve(path)
    where = client.url.partition("?")[0].removeprefix(f"http://{client.host}")
    shown = embedded(client.ask(where).text)
    first = shown["version"]
    sizes = []
    with client.events(f"{where}/events", first) as news:
        for index in range(1, 4):
            writer.append(epoch(index, 1 / index))
            writer.append(Notice(id=str(index), text=f"notice {index}"))
            writer.flush()
            while f"notice {index}" not in repr(shown["sections"]):
                told = next(news)
                assert told["version"] > shown["version"]
                sizes.append(len(told["sections"]))
                shown = merged(shown, told)
        assert max(sizes) < len(shown["order"])
        writer.append(Ended(status="finished", seconds=2.0))
        writer.close()
        while "finished after 2.0 s" not in shown["subtitle"]:
            shown = merged(shown, next(news))
    until(lambda: embedded(client.ask(where).text)["sections"] == whole(path))
    assert shown["sections"] == whole(path)
    assert list(shown["sections"]) == list(whole(path))


def test_a_reader_that_was_away_is_sent_what_it_missed(serve: Serve, tmp_path: Path):
    writer = begin(tmp_path / "a.pipetrace")
    client = serve(tmp_path)
    where = run_path(client)
    shown = embedded(client.ask(where).text)
    writer.append(Notice(id="new", text="while you were away"))
    writer.flush()
    with client.events(f"{where}/events", shown["version"]) as news:
        told = next(news)
        assert "while you were away" in repr(told["sections"])
        assert len(told["sections"]) < len(told["order"])
    with client.events(f"{where}/events", 999) as news:
        told = next(news)
        assert list(told["sections"]) == told["order"]
    writer.close()


def test_readers_share_one_making(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = []
    original = Followed.page
    monkeypatch.setattr(Followed, "page", lambda self: made.append(1) or original(self))
    writer = begin(tmp_path / "a.pipetrace")
    client = serve(tmp_path)
    where = run_path(client)
    version = embedded(client.ask(where).text)["version"]
    with ExitStack() as stack:
        readers = [stack.enter_context(client.events(f"{where}/events", version))
                   for _ in range(10)]  # fmt: skip
        before = len(made)
        writer.append(Notice(id="new", text="for all"))
        writer.flush()
        told = [next(news) for news in readers]
        assert all(one == told[0] for one in told)
        assert "for all" in repr(told[0])
        assert 1 <= len(made) - before <= 2
    writer.close()


def test_a_run_that_is_deleted_replaced_damaged_or_cut_off_says_so(serve: Serve, tmp_path: Path):
    path, other = tmp_path / "a.pipetrace", tmp_path / "other" / "b.pipetrace"
    write(path, epochs=2)
    write(other, epochs=5)
    client = serve(path)
    where = client.url.partition("?")[0].removeprefix(f"http://{client.host}")
    with client.events(f"{where}/events") as news:

        def awaited(text: str) -> dict[str, Any]:
            return next(told for told in news if text in repr(told))

        awaited("2 epochs")
        path.unlink()
        gone = awaited("The run file is gone")
        assert gone["order"][0] == "served"
        shutil.copy(other, path)
        assert "served" not in awaited("5 epochs")["order"]
        path.write_bytes(path.read_bytes()[:5000])
        assert awaited("the run file is damaged")["order"][0] == "served"
        path.write_bytes(b"not a run at all" * 100)
        awaited("this is not a run file of pipetrace")
        write(other.with_name("c.pipetrace"), epochs=3, end=False)
        other.with_name("c.pipetrace").replace(path)
        awaited("3 epochs")
    assert client.ask("/").status == 200


def test_a_run_whose_process_dies_is_called_cut_off(serve: Serve, tmp_path: Path):
    path = tmp_path / "a.pipetrace"
    program = (
        "import sys, time; from pathlib import Path; from pipetrace import alive\n"
        "from pipetrace.tracefile import Writer; from pipetrace.records import Provenance\n"
        "w = Writer(Path(sys.argv[1]))\n"
        "w.append(Provenance(name='a', origin='script', process=alive.own())); w.flush()\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        client = serve(tmp_path)
        where = run_path(client)
        assert client.runs()[0]["state"] == "running"
        with client.events(f"{where}/events") as news, client.events("/events") as runs:
            assert "still running" in next(news)["subtitle"]
            assert next(runs)["runs"][0]["state"] == "running"
            process.kill()
            process.wait()
            assert any("cut off" in told["subtitle"] for told in itertools.islice(news, 5))
            assert next(runs)["runs"][0]["state"] == "cut off"


def test_the_list_follows_the_folder(serve: Serve, tmp_path: Path):
    write(tmp_path / "old.pipetrace", epochs=1, day=1)
    write(tmp_path / "new.pipetrace", epochs=3, day=2)
    for rank in (0, 1):
        write(of_rank(tmp_path / "many.pipetrace", rank), day=3, rank=rank, world=2)
    (tmp_path / "broken.pipetrace").write_bytes(b"SQLite format 3\0" + b"x" * 200)
    client = serve(tmp_path)
    runs = client.runs()
    assert [run["name"] for run in runs] == ["many, 2 ranks", "new", "old", "broken"]
    assert [run["epochs"] for run in runs] == ["2", "3", "1", ""]
    assert runs[1]["loss"] == "0.333"
    assert runs[1]["state"] == "finished"
    assert runs[1]["started"] == "2026-01-02 10:00:00"
    assert "damaged" in runs[3]["state"]
    ranks = [of_rank(tmp_path / "many.pipetrace", rank) for rank in (0, 1)]
    titles = [section.id for section in page(load_together(ranks)).sections]
    assert embedded(client.ask(f"/run/{runs[0]['id']}").text)["order"] == titles
    with client.events("/events", 1) as news:
        writer = begin(tmp_path / "now.pipetrace", "now", 4)
        assert next(news)["runs"][0]["state"] == "running"
        writer.append(epoch(1, 0.5))
        writer.flush()
        assert next(news)["runs"][0]["loss"] == "0.500"
        (tmp_path / "old.pipetrace").unlink()
        assert len(next(news)["runs"]) == 4
        writer.close()


def test_two_runs_are_compared(serve: Serve, tmp_path: Path):
    write(tmp_path / "old.pipetrace", epochs=1, day=1)
    write(tmp_path / "new.pipetrace", epochs=3, day=2)
    client = serve(tmp_path)
    newer, older = (run["id"] for run in client.runs())
    answer = client.ask(f"/compare/{older}/{newer}")
    assert answer.status == 200
    assert "epoch" in repr(embedded(answer.text)["sections"])
    assert client.ask(f"/compare/{older}/{older}").status == 400
    (tmp_path / "new.pipetrace").write_bytes(b"SQLite format 3\0" + b"x" * 200)
    answer = client.ask(f"/compare/{older}/{newer}")
    assert answer.status == 409
    assert "damaged" in embedded(answer.text)["text"]


def test_a_section_with_nan_is_sent_once():
    bars = Bars(bars=(Bar(label="a", share=float("nan"), value="NaN"),))
    shown = Page(title="a", subtitle="", sections=(Section(id="x", title="X", blocks=(bars,)),))
    sheet = Sheet()
    assert [sheet.put(shown), sheet.put(shown), sheet.put(shown, ["rerun"])] == [True, False, True]
    assert '"sections":{}' in sheet.message(1)


def test_a_version_of_thousands_of_digits_is_none(serve: Serve, tmp_path: Path):
    begin(tmp_path / "a.pipetrace")
    client = serve(tmp_path)
    with client.events("/events", "9" * 5000) as news:
        assert next(news)["runs"]

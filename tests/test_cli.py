"""Commands over runs and tables: what they print and write, and what they refuse in a paragraph."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import pipetrace as pt
from pipetrace import tracefile
from pipetrace.cli import main
from pipetrace.records import Ended, Model


class Shell:
    """A folder in which commands are typed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def type(
        self, *words: str, stdin: str = "", code: int = 0, variables: dict[str, str] | None = None
    ) -> tuple[str, str]:
        """Run a command, require its exit code, and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "pipetrace", *words], cwd=self.path, input=stdin.encode(),
            capture_output=True, check=False,
            env={**os.environ, "COLUMNS": "100", **(variables or {})},
        )  # fmt: skip
        assert done.returncode == code, done.stderr.decode()
        return done.stdout.decode(), done.stderr.decode()

    def refused(self, *words: str) -> str:
        """Return what a refused command says: one paragraph, on stderr."""
        out, err = self.type(*words, code=2)
        assert out == ""
        assert err.startswith("pipetrace: ")
        assert err.count("\n") == 1
        return err.removeprefix("pipetrace: ").rstrip("\n")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run file with a model, named in letters that not every terminal can print."""
    path = tmp_path_factory.mktemp("made") / "née.pipetrace"
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(16, 3)
    with pt.record(path):
        for _ in pt.epochs(range(2)):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x), x[:, :1]).backward()
            optimizer.step()
    return path


@pytest.fixture
def kept(made: Path, shell: Shell) -> Shell:
    """Return a shell in whose `pipetrace-runs` the run is the newest."""
    folder = shell.path / "pipetrace-runs"
    folder.mkdir()
    shutil.copy(made, folder / "older.pipetrace")
    os.utime(folder / "older.pipetrace", ns=(0, 0))
    shutil.copy(made, folder / "née.pipetrace")
    return shell


def test_the_newest_run_is_shown_exported_and_asked(kept: Shell):
    shown, _ = kept.type("show")
    assert shown.startswith("née - pipeline trace\n")
    assert shown == kept.type("show", "pipetrace-runs/older.pipetrace")[0]
    asked, err = kept.type("quiz", stdin="a\nh\nx\nb\nq\n")
    assert "Question 1 of " in asked
    assert "Hint" in asked or "hint" in asked
    assert " of 2 right, " in asked
    assert err == ""
    assert kept.type("quiz")[0].endswith(" in all.\n")
    page = json.loads(kept.type("show", "--json")[0])
    for form, start in (("html", "<!doctype html>"), ("md", "# née"), ("json", "{")):
        out, err = kept.type("export", "--to", form)
        assert (out, err) == (f"pipetrace-runs/née.{form}\n", "")
        text = (kept.path / "pipetrace-runs" / f"née.{form}").read_text(encoding="utf-8")
        assert text.startswith(start)
        assert kept.type("export", "--to", form, "-o", "-")[0].rstrip() == text.rstrip()
        kept.type("export", "--to", form, "--output", f"copy of.{form}")
        assert (kept.path / f"copy of.{form}").read_text(encoding="utf-8") == text
    assert json.loads((kept.path / "copy of.json").read_text(encoding="utf-8")) == page


def test_a_terminal_without_our_letters_gets_text_and_a_file_gets_utf_8(kept: Shell):
    plain = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    assert "pipeline trace" in kept.type("show", variables=plain)[0]
    for words in (("show", "--json"), ("export", "--to", "json", "-o", "-")):
        assert json.loads(kept.type(*words, variables=plain)[0])["title"].startswith("née")
    assert "<title>née" in kept.type("export", "-o", "-", variables=plain)[0]


def test_an_export_is_written_over_a_file_only_if_that_was_named(kept: Shell):
    mine = kept.path / "pipetrace-runs" / "née.html"
    mine.write_text("mine")
    reason = kept.refused("export")
    assert reason.startswith("pipetrace-runs/née.html: the file exists already; `run`, `fit` and")
    assert reason.endswith("To write over it, name it: --output 'pipetrace-runs/née.html'")
    assert mine.read_text() == "mine"
    assert kept.type("export", "--output", "pipetrace-runs/née.html")[1] == ""
    assert mine.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_an_export_is_not_written_over_the_run_and_says_where_it_cannot_be(kept: Shell):
    before = (kept.path / "pipetrace-runs" / "née.pipetrace").read_bytes()
    same = "pipetrace-runs/née.pipetrace"
    over = "this is a run, and runs are never written over."
    for run in (same, "pipetrace-runs/older.pipetrace"):
        assert over in kept.refused("export", "-o", run)
    shutil.copy(kept.path / same, kept.path / "run.html")
    assert over in kept.refused("export", "run.html")
    reason = kept.refused("export", "-o", "no/where.html")
    assert reason.startswith("no/where.html: the export cannot be written (No such file")
    assert "is a directory" in kept.refused("export", "-o", ".")
    assert (kept.path / same).read_bytes() == before == (kept.path / "run.html").read_bytes()


def damaged(made: Path, folder: Path) -> dict[str, str]:
    """Make files that are no run, and return the reason to refuse each."""
    whole = made.read_bytes()
    (folder / "empty").touch()
    (folder / "foreign").write_text("name,value\n")
    (folder / "cut").write_bytes(whole[: len(whole) // 2])
    (folder / "stub").write_bytes(whole[:50])
    (folder / "harmed").write_bytes(whole[:2048] + bytes(4096) + whole[6144:])
    (folder / "folder").mkdir()
    with contextlib.closing(sqlite3.connect(folder / "database")) as other, other:
        other.execute("CREATE TABLE facts (id)")
    for name, version in (("newer", tracefile.VERSION + 1), ("other", tracefile.VERSION)):
        with contextlib.closing(sqlite3.connect(folder / name)) as other, other:
            other.execute(f"PRAGMA application_id={tracefile.APPLICATION}")
            other.execute(f"PRAGMA user_version={version}")
            other.execute("CREATE VIEW facts AS SELECT 1")
    writer = tracefile.Writer(folder / "killed")
    writer.append(Ended(status="finished"))
    writer.flush()
    writer.abandon()
    shutil.copy(folder / "killed", folder / "alone")
    return {
        "absent": "there is no such run file.",
        "empty": "the file is empty",
        "foreign": "this is not a run file of pipetrace.",
        "cut": "the run file is damaged",
        "stub": "the run file is damaged",
        "harmed": "the run file is damaged",
        "folder": "this is a folder.",
        "database": "this is an SQLite file, but not a run file of pipetrace.",
        "newer": f"the file has format {tracefile.VERSION + 1}, this pipetrace reads up to",
        "other": "the run file is damaged: its tables are not those of a run.",
        "alone": "the run was cut off while it was written, and the file alone-wal",
        "/dev/null": "this is not a plain file",
    }


def test_every_command_refuses_what_is_no_run_by_name_and_reason(made: Path, shell: Shell):
    reasons = damaged(made, shell.path)
    for number, (name, reason) in enumerate(reasons.items()):
        command = ("show", "export", "quiz")[number % 3]
        assert shell.refused(command, name).startswith(f"{name}: {reason}"), name
    assert "there is no run yet" in shell.refused("show")
    assert shell.refused("quiz", "killed") == (
        "This run has no questions: it has no captured forward."
    )
    assert "pipeline trace" in shell.type("show", "killed")[0]
    before = {path.name for path in shell.path.iterdir()}
    assert not {name for name in before if name.endswith((".html", ".md", ".json"))}


BOTH = ("pipetrace-runs/older.pipetrace", "pipetrace-runs/née.pipetrace")


def test_two_runs_are_shown_side_by_side(kept: Shell):
    out, err = kept.type("diff", *BOTH)
    assert err == ""
    assert out.startswith("older and née - two runs compared\nA is older, B is née\n")
    assert " What they computed is equal in all that was compared: " in " ".join(out.split())
    page = json.loads(kept.type("diff", *BOTH, "--json")[0])
    assert [part["id"] for part in page["sections"]][:2] == ["first", "runs"]
    (kept.path / "both.html").write_text("before")
    out, _ = kept.type("diff", *BOTH, "-o", "both.html")
    assert out.endswith("\n  page  both.html\n")
    page_of_both = (kept.path / "both.html").read_text(encoding="utf-8")
    assert page_of_both.startswith("<!doctype html>")
    for name in ("older-née.html", "older-née-2.html"):
        out, _ = kept.type("diff", *BOTH, "--open", variables={"BROWSER": "true"})
        assert out.endswith(f"\n  page  pipetrace-runs/{name}\n")
        written = kept.path / "pipetrace-runs" / name
        assert written.read_text(encoding="utf-8") == page_of_both


def test_what_cannot_be_put_side_by_side_is_refused(kept: Shell):
    a, b = BOTH
    assert kept.refused("diff", a, f"./{a}").endswith(
        "both are the same run. Name two runs: pipetrace diff A.pipetrace B.pipetrace"
    )
    assert kept.refused("diff", a, "absent.pipetrace") == (
        "absent.pipetrace: there is no such run file."
    )
    assert kept.refused("diff", "pipetrace-runs", b).startswith("pipetrace-runs: this is a folder.")
    assert "never written over" in kept.refused("diff", a, b, "--output", a)


WATCH = """
import atexit, sys
def leave():
    heavy = sorted({"torch", "numpy", "polars", "sklearn", "IPython"} & set(sys.modules))
    print("imported", heavy, file=sys.stderr)
atexit.register(leave)
"""


def test_commands_over_runs_import_no_torch(kept: Shell):
    (kept.path / "site").mkdir()
    (kept.path / "site" / "sitecustomize.py").write_text(WATCH)
    before = os.environ.get("PYTHONPATH")
    variables = {"PYTHONPATH": os.pathsep.join(filter(None, (str(kept.path / "site"), before)))}
    for words in (
        ["show"], ["show", "--json"], ["diff", *BOTH], ["diff", *BOTH, "--json"],
        ["export", "-o", "-"], ["quiz"], ["--version"], ["--help"], ["run", "--help"],
        ["fit", "--help"], ["show", "--help"], [],
    ):  # fmt: skip
        assert kept.type(*words, variables=variables)[1] == "imported []\n", words


def test_version_help_and_completion(shell: Shell):
    assert shell.type("--version")[0] == f"pipetrace, version {pt.__version__}\n"
    assert shell.type()[0] == shell.type("--help")[0] == shell.type("-h")[0]
    for kind in ("bash", "zsh", "fish"):
        out, err = shell.type(variables={"_PIPETRACE_COMPLETE": f"{kind}_source"})
        assert "_PIPETRACE_COMPLETE" in out
        assert err == ""
    variables = {"_PIPETRACE_COMPLETE": "bash_complete", "COMP_WORDS": "pipetrace run --no",
                 "COMP_CWORD": "2"}  # fmt: skip
    assert shell.type(variables=variables)[0] == "plain,--no-values\nplain,--no-source\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shwo"], "No such command 'shwo'"),
        (["show", "--jsn"], "No such option"),
        (["export", "--to", "pdf"], "Invalid value for '--to': 'pdf' is not one of"),
        (["fit", "a.csv"], "Missing option '--target'. See: pipetrace fit --help"),
        (["quiz", "a", "b"], "unexpected extra argument"),
        (["diff", "a"], "Missing argument 'B.pipetrace'. See: pipetrace diff --help"),
    ],
)
def test_what_is_typed_wrong_is_said_in_one_paragraph(shell: Shell, words: list[str], said: str):
    reason = shell.refused(*words)
    assert said in reason
    assert reason.endswith("--help")


def test_a_reader_that_goes_away_is_no_error(kept: Shell):
    for words in (("show",), ("show", "--json"), ("export", "-o", "-")):
        with subprocess.Popen(
            [sys.executable, "-m", "pipetrace", *words], cwd=kept.path, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 1
    if Path("/dev/full").exists():
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run([sys.executable, "-m", "pipetrace", "show"], cwd=kept.path,
                                  stdout=full, stderr=subprocess.PIPE, check=False)  # fmt: skip
        assert done.returncode == 2
        assert done.stderr == b"pipetrace: [Errno 28] No space left on device\n"


def test_ctrl_c_ends_a_quiz_quietly(kept: Shell):
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "pipetrace", "quiz"], cwd=kept.path, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        seen = b""
        while b"Your answer" not in seen and (more := process.stdout.read1(100)):
            seen += more
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert err == b""


TABLE = "size,kind,word\n" + "".join(
    f"{i % 7 + i / 9:.2f},{'big' if i % 7 > 3 else 'small'},{'ab'[i % 2]}\n" for i in range(60)
)


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "table.csv").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_was_typed_wrong_is_said_in_one_sentence_after_another(capfd):
    assert main(["shw"]) == 2
    said = capfd.readouterr().err
    assert said == "pipetrace: No such command 'shw'. Did you mean 'show'? See: pipetrace --help\n"


def test_a_table_is_fitted(tables: Path, capfd: pytest.CaptureFixture[str]):
    words = ["fit", "table.csv", "--target", "kind", "--epochs", "2"]
    assert main([*words, "--hidden", "6,4", "--drop", "word", "--seed", "3"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert out.startswith("table.csv - pipeline trace\n")
    assert out.endswith(
        "\n  page  pipetrace-runs/table.html\n  run   pipetrace-runs/table.pipetrace"
        "\n  more  pipetrace show pipetrace-runs/table.pipetrace\n"
    )
    shown = re.findall(r"^━━ (.+?) ━", out, re.MULTILINE)
    assert shown == ["Where this comes from", "Key insight", "Training trace, 2 epochs", "Metrics",
                     "About this recording"]  # fmt: skip
    run = pt.load("pipetrace-runs/table.pipetrace")
    (model,) = run.recording.all(Model)
    assert [part.type for part in model.modules].count("Linear") == 3
    assert main([*words, "--quiet", "--no-values"]) == 0
    assert capfd.readouterr() == ("", "")
    asked = "Left out, as asked: rows of real values."
    assert asked not in run.page().contents
    assert asked in pt.load("pipetrace-runs/table-2.pipetrace").page().contents
    assert Path("pipetrace-runs/table-2.html").exists()


def test_a_fitted_table_is_json_on_stdout(shell: Shell):
    (shell.path / "table.csv").write_text(TABLE)
    words = ("fit", "table.csv", "--target", "kind", "--epochs", "1", "--json", "--name", "named")
    out, err = shell.type(*words)
    assert json.loads(out)["title"].startswith("table.csv")
    assert err == ""
    assert (shell.path / "pipetrace-runs" / "named.html").exists()


@contextlib.contextmanager
def in_a_terminal(shell: Shell, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a command whose stderr is a terminal, and give the other end of that."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "pipetrace", *words], cwd=shell.path,
                          stdout=subprocess.PIPE, stderr=theirs) as process:  # fmt: skip
        os.close(theirs)
        yield process, ours
    os.close(ours)


def read(terminal: int, until: bytes = b"no such bytes") -> bytes:
    """Return what was written to a terminal, to its end or until something appears."""
    seen = b""
    with contextlib.suppress(OSError):  # Linux says so when the other end is closed
        while until not in seen and (more := os.read(terminal, 4096)):
            seen += more
    return seen


def test_progress_is_one_line_of_a_terminal_and_gone_at_the_end(shell: Shell):
    (shell.path / "table.csv").write_text(TABLE)
    words = ("fit", "table.csv", "--target", "kind", "--epochs", "30")
    with in_a_terminal(shell, *words) as (process, terminal):
        assert process.stdout is not None
        seen = read(terminal)
        out = process.stdout.read()
    assert process.returncode == 0
    assert b"\n" not in seen
    last, gone, end = seen.split(b"\r")[-3:]
    assert re.match(
        rb"epoch 30 of 30, step 2 of 2, loss \d.*, learning rate 0.01, 0:00:00 left", last
    )
    assert (gone.strip(), end, len(gone) >= len(last.rstrip())) == (b"", b"", True)
    assert out.startswith(b"table.csv - pipeline trace\n")
    with in_a_terminal(shell, *words, "--quiet") as (process, terminal):
        assert read(terminal) == b""
    assert shell.type(*words)[1] == ""


def test_ctrl_c_ends_a_fit_with_its_page_and_without_its_line(
    shell: Shell, interrupted: int, press_ctrl_c: Callable[[subprocess.Popen[bytes]], None]
):
    (shell.path / "table.csv").write_text(TABLE)
    words = ("fit", "table.csv", "--target", "kind", "--epochs", "1000000")
    with in_a_terminal(shell, *words) as (process, terminal):
        assert b"epoch" in read(terminal, b"learning rate")  # its end may be cut off
        press_ctrl_c(process)
        end = read(terminal)
        out = process.stdout.read().decode()
    assert process.returncode == interrupted
    assert re.search(rb"\r +\r$", end)
    assert b"\n" not in end
    assert "interrupted" in out
    assert out.endswith("more  pipetrace show pipetrace-runs/table.pipetrace\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["absent.csv"], "absent.csv: there is no such file."),
        (["."], ".: this is a folder, not a table."),
        (["empty.csv"], "empty.csv: the file is empty."),
        (["table.csv", "--target", "knid"], "table.csv has no column 'knid'"),
        (["table.csv", "--hidden", "64,x"], "--hidden 64,x: write whole numbers with commas"),
        (["table.csv", "--hidden", "64,0"], "A hidden layer's width is 0"),
        (["table.csv", "--epochs", "0"], "The number of epochs is 0"),
        (["table.csv", "--dropout", "30"], "The dropout is 30"),
        (["table.csv", "--drop", "wrod"], "no column 'wrod'"),
        (["table.csv", "--name", "a/b"], "'a/b' cannot be the name of a run"),
        (
            ["table.csv", "--out", "empty.csv/in"],
            "empty.csv/in: the run file table.pipetrace cannot",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_table_that_cannot_be_fitted_is_refused_in_one_paragraph(
    tables: Path, capfd: pytest.CaptureFixture[str], words: list[str], said: str
):
    (tables / "empty.csv").touch()
    assert main(["fit", words[0], "--target", "kind", *words[1:]]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("pipetrace: ")
    assert said in err
    assert err.count("\n") == 1
    assert not (tables / "pipetrace-runs").exists()

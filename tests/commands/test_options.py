"""What is typed before a script is ours: where the run goes, what it holds, what is printed."""

from __future__ import annotations

import json
import struct
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pipetrace.records import Capture, Ended, Notice, Provenance, SourceText

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Finished, Folder

NOISY = """
    import atexit, os, subprocess, sys
    x[0] = torch.tensor([float("nan"), float("inf"), -float("inf"), 1.0])
    atexit.register(print, "at exit")
    atexit.register(subprocess.run, [sys.executable, "-c", "print('child at exit')"])
    subprocess.run([sys.executable, "-c", "print('child')"])
    os.write(1, b"by descriptor\\n")
    print(epoch())
    sys.stdout.close()
    sys.stderr = None
    os.chdir("/")
"""


def no_constant(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


def test_json_is_all_that_is_on_stdout(trained: Callable[[str], Folder]):
    """Whoever prints: the script, its subprocesses, its exit handlers; and wherever it goes."""
    folder = trained(NOISY)
    finished = folder.pipetrace(
        "run", "--json", "train.py", variables={"PYTHONIOENCODING": "ascii"}
    )
    page = json.loads(finished.out, parse_constant=no_constant)
    assert page["title"].startswith("train.py")
    assert {section["id"] for section in page["sections"]} >= {"flow", "training", "quiz"}
    values = [
        strip["values"]
        for section in page["sections"]
        for block in section["blocks"]
        for stage in block.get("stages", [])
        for strip in stage.get("strips", [])
    ]
    assert ["NaN", "Infinity", "-Infinity", 1.0] in values
    assert finished.err.startswith("child\nby descriptor\n")
    assert "child at exit\n" in finished.err
    shown = folder.pipetrace("show", "--json", variables={"PYTHONIOENCODING": "ascii"})
    assert json.loads(shown.out) == page | {"sections": json.loads(shown.out)["sections"]}


def test_the_page_goes_to_stderr_and_survives_what_a_script_does_to_it(
    trained: Callable[[str], Folder],
):
    folder = trained(NOISY)
    finished = folder.pipetrace("run", "train.py")
    assert finished.code == 0
    assert finished.out.startswith("child\nby descriptor\n[")
    assert finished.err.count("train.py - pipeline trace") == 1
    assert finished.err.endswith(
        "\n  page  pipetrace-runs/train.html\n  run   pipetrace-runs/train.pipetrace"
        "\n  more  pipetrace show pipetrace-runs/train.pipetrace\n"
    )


def test_quiet_prints_nothing_and_no_run_is_written_over(trained: Callable[[str], Folder]):
    folder = trained("print(epoch())")
    first = folder.pipetrace("run", "--quiet", "train.py")
    kept = [path.read_bytes() for path in (folder.path / "pipetrace-runs").iterdir()]
    (folder.path / "pipetrace-runs" / "train-2.html").write_text("mine")
    second = folder.pipetrace("run", "--quiet", "train.py")
    assert first == second
    assert first.err == ""
    names = sorted(path.name for path in (folder.path / "pipetrace-runs").iterdir())
    assert names == ["train-2.html", "train-3.html", "train-3.pipetrace", "train.html",
                     "train.pipetrace"]  # fmt: skip
    assert kept == [path.read_bytes() for path in (folder.path / "pipetrace-runs").iterdir()
                    if path.stem == "train"]  # fmt: skip
    assert (folder.path / "pipetrace-runs" / "train-2.html").read_text() == "mine"


def test_two_runs_at_once_take_different_files(trained: Callable[[str], Folder]):
    folder = trained("print(epoch())")
    typed = ("-m", "pipetrace", "run", "--quiet", "train.py")
    with folder.start(*typed) as one, folder.start(*typed) as other:
        ended = [process.communicate(timeout=90)[1] for process in (one, other)]
    assert ended == [b"", b""]
    assert sorted(path.name for path in folder.runs()) == ["train-2.pipetrace", "train.pipetrace"]


MARKED = 1234.56787109375
"""A number that float32 holds exactly, and that no statistic of its neighbours equals."""


def test_without_values_and_source_neither_is_in_any_file(trained: Callable[[str], Folder]):
    folder = trained(
        f"""
        flock = torch.tensor([[{MARKED}, 9999.0, -9999.0, 3.0], [1.0, 2.0, 3.0, 4.0]])
        for _ in range(2):  # a line of the source, as it stands
            optimizer.zero_grad()
            F.cross_entropy(model(flock), y[:2]).backward()
            optimizer.step()
        model(flock)
        """
    )
    written = (struct.pack(">d", MARKED), struct.pack("<d", MARKED), str(MARKED).encode(),
               f"{MARKED:.4g}".encode(), b"1,235", b"1234.6", b"1235.")  # fmt: skip

    def found(*options: str) -> tuple[bool, bool]:
        name = "-".join(options) or "all"
        finished = folder.pipetrace("run", "--name", name, *options, "train.py")
        assert finished.code == 0
        files = [finished.err.encode()]
        files += [(folder.path / "pipetrace-runs" / f"{name}.{suffix}").read_bytes()
                  for suffix in ("pipetrace", "html")]  # fmt: skip
        return (
            any(text in file for file in files for text in written),
            any(b"as it stands" in file or b"flock" in file for file in files),
        )

    assert found() == (True, True)
    assert found("--no-values", "--no-source") == (False, False)
    origin = folder.newest().first(Provenance)
    assert origin is not None
    assert (origin.values, origin.source) == (False, False)
    assert not folder.newest().all(SourceText)
    assert folder.newest().all(Capture)


def test_names_and_folders_of_runs(folder: Folder):
    """A name is a file's name; a folder may be made, and is found again after a chdir."""
    folder.write({"train.py": "import os\nos.chdir('/')", "taken": "a file"})
    for name in ("a/b", "..", "", "a\\b", "a\nb", "n" * 300):
        finished = folder.pipetrace("run", "--name", name, "train.py")
        assert (finished.code, finished.out) == (2, "")
        assert finished.err.startswith("pipetrace: ")
        assert finished.err.count("\n") == 1
        assert "n" * 300 in finished.err or repr(name) in finished.err
        assert not folder.runs()
    name = "é 1.2 (new) #?%"
    assert (
        folder.pipetrace("run", "--quiet", "--out", "new/er", "--name", name, "train.py").code == 0
    )
    assert sorted(path.name for path in (folder.path / "new" / "er").iterdir()) == [
        f"{name}.html", f"{name}.pipetrace",
    ]  # fmt: skip
    shown = folder.pipetrace("show", f"new/er/{name}.pipetrace")
    assert shown.out.startswith("train.py")


@pytest.mark.parametrize("out", ["taken/inside", "/proc/inside"], ids=["file", "proc"])
def test_a_folder_that_cannot_be_written_to_is_said_before_the_script_starts(
    folder: Folder, out: str
):
    folder.write({"train.py": "print('started')", "taken": "a file"})
    finished = folder.pipetrace("run", "--out", out, "train.py")
    assert (finished.code, finished.out) == (2, "")
    assert finished.err.startswith(f"pipetrace: {out}: the run file train.pipetrace cannot be")
    assert finished.err.endswith("Name a folder that can be written to: --out DIR.\n")


def test_a_full_disk_ends_the_recording_with_one_warning(trained: Callable[[str], Folder]):
    """What was written until then opens; the script's output and exit code are its own."""
    resource = pytest.importorskip("resource")
    folder = trained(
        """
        import sys, time
        print(epoch())
        time.sleep(1.1)
        nn.Sequential(*[nn.Linear(4, 4) for _ in range(300)])(x).sum().backward()
        print(epoch())
        sys.exit(3)
        """
    )

    def limited(size: int) -> Finished:
        limit = (size, size)
        return folder.pipetrace(
            "run", "train.py", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        )

    refused = limited(30_000)
    assert (refused.code, refused.out) == (2, "")
    assert "Name a folder with room: --out DIR." in refused.err
    assert not list((folder.path / "pipetrace-runs").iterdir())
    alone, recorded = folder.python("train.py"), limited(60_000)
    assert (recorded.code, recorded.out) == (alone.code, alone.out)
    assert alone.code == 3
    warnings = [line for line in recorded.err.splitlines() if line.startswith("pipetrace: ")]
    assert len(warnings) == 1
    assert "train.pipetrace: nothing more was recorded" in warnings[0]
    assert "Traceback" not in recorded.err
    recording = folder.newest()
    assert recording.first(Provenance)
    assert recording.last(Ended) is None


def test_open_shows_the_page_in_the_browser(folder: Folder):
    folder.write(
        {
            "train.py": "print('trained')",
            "browse.py": "import pathlib, sys\npathlib.Path('opened').write_text(sys.argv[1])",
        }
    )
    browser = f"{sys.executable} {folder.path / 'browse.py'} %s"
    finished = folder.pipetrace(
        "run", "--json", "--open", "train.py", variables={"BROWSER": browser}
    )
    json.loads(finished.out)
    address = (folder.path / "opened").read_text()
    assert address == (folder.path / "pipetrace-runs" / "train.html").as_uri()


def test_without_a_script_the_example_runs_and_stdout_is_ours(folder: Folder):
    finished = folder.pipetrace("run")
    assert finished.code == 0
    assert finished.err == ""
    assert finished.out.startswith("epoch 1: training loss")
    assert "dropout.py - pipeline trace" in finished.out
    assert finished.out.endswith("  more  pipetrace show pipetrace-runs/dropout.pipetrace\n")
    origin = folder.newest().first(Provenance)
    assert origin is not None
    assert origin.origin == "example"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["absent.py"], "absent.py: No such file or directory."),
        (["."], ". is a folder."),
        (["table.csv"], "table.csv, line 1: this is not Python"),
        (["binary"], "binary: this is not Python"),
        (["-m", "absent.module"], "No module named absent.module"),
        (["-m", "inside/train.py"], "pipetrace run -m inside.train"),
        (["-m"], "-m needs the name of a module"),
        (["--unknown", "train.py"], "No such option"),
        (["--steps", "0", "train.py"], "Invalid value for '--steps'"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_run_is_refused_in_one_paragraph(
    folder: Folder, typed: list[str], said: str
):
    folder.write({"table.csv": "a b,c\n1,2\n", "inside/train.py": "", "train.py": "print(1)"})
    (folder.path / "binary").write_bytes(b"\x7fELF\0\0")
    finished = folder.pipetrace("run", *typed)
    assert (finished.code, finished.out) == (2, "")
    assert finished.err.startswith("pipetrace: ")
    assert said in finished.err
    assert finished.err.count("\n") == 1
    assert not folder.runs()


def test_a_script_without_a_model_says_what_was_seen(folder: Folder):
    folder.write({"train.py": "import torch\nx = torch.ones(1, requires_grad=True)\nx.backward()"})
    finished = folder.pipetrace("run", "train.py")
    assert finished.code == 0
    assert "No forward of an nn.Module was seen" in finished.err
    assert "1 backward" in " ".join(finished.err.split())
    assert any(notice.id == "no-forward" for notice in folder.newest().all(Notice))

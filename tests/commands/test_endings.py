"""A recorded script ends as it ends alone, and what was recorded until then is kept."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from pipetrace.records import Ended, Epoch, Op, Provenance
from pipetrace.training.endings import exit_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Folder

CODES = ["0", "3", "300", "-1", "None", "True", "'words'", "(1, 2)", "2**70", "-2**70", "2**40 + 5"]


@pytest.mark.parametrize("code", CODES)
def test_an_exit_code_is_what_plain_python_returns(
    code: str, folder: Folder, capsys: pytest.CaptureFixture[str]
):
    alone = folder.python("-c", f"import sys; sys.exit({code})")
    assert exit_code(SystemExit(eval(code))) == alone.code
    assert capsys.readouterr().err == alone.err


@pytest.mark.parametrize("code", ["300", "'words'"])
def test_a_script_that_exits_does_so_with_its_code_and_its_exit_handlers(code: str, folder: Folder):
    text = "import atexit, sys\natexit.register(print, 'bye')\nprint('hi')\nsys.exit(%s)"
    folder.write({"leave.py": text % code})
    finished = folder.same("leave.py")
    ended = folder.newest().last(Ended)
    assert ended is not None
    assert (ended.status, ended.code) == ("finished", finished.code)


def test_a_script_reads_stdin_and_may_find_its_end(folder: Folder):
    folder.write({"ask.py": "print(input('name? '))\nprint(input())\ninput()"})
    finished = folder.same("ask.py", stdin="Ada\nLovelace\n")
    assert finished.out == "name? Ada\nLovelace\n"
    assert finished.err.endswith("EOFError: EOF when reading a line\n")


def test_an_interrupt_that_a_script_raises_ends_it_by_the_signal(folder: Folder):
    text = "import atexit\natexit.register(print, 'bye')\nraise KeyboardInterrupt('now')"
    folder.write({"stop.py": text})
    assert folder.same("stop.py").code == -signal.SIGINT
    assert folder.same("-m", "stop").code == -signal.SIGINT
    ended = folder.newest().last(Ended)
    assert ended is not None
    assert (ended.status, ended.code) == ("interrupted", 130)


FOREVER = """
    import time

    for round in range(10**9):
        for start in range(0, 24, 8):
            step(slice(start, start + 8))
        if round == 3:
            time.sleep(1.1)
        if round == 9:
            print("ready", flush=True)
"""


def ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line == b"ready\n":
            return


def test_ctrl_c_shows_the_traceback_and_the_page_of_what_ran(
    trained: Callable[[str], Folder], interrupted: int
):
    folder = trained(FOREVER)
    with folder.start("-m", "pipetrace", "run", "train.py") as process:
        ready(process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    err = said.decode()
    assert process.returncode == interrupted
    assert err.startswith("Traceback (most recent call last):\n")
    assert "\nKeyboardInterrupt\n" in err
    assert "src/pipetrace/" not in err.partition("\nKeyboardInterrupt\n")[0]
    assert "interrupted" in err
    assert err.count("Traceback") == 1
    recording = folder.newest()
    assert recording.all(Op)
    ended = recording.last(Ended)
    assert ended is not None
    assert ended.status == "interrupted"
    assert (folder.path / "pipetrace-runs" / "train.html").stat().st_size > 10_000


def test_a_killed_run_opens_and_shows_what_it_had_written(trained: Callable[[str], Folder]):
    folder = trained(FOREVER)
    with folder.start("-m", "pipetrace", "run", "train.py") as process:
        ready(process)
        time.sleep(3)  # what is older than a second is in the file
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    recording = folder.newest()
    assert recording.first(Provenance)
    assert recording.all(Op)
    assert recording.last(Ended) is None
    assert len(recording.all(Epoch)) >= 3
    shown = folder.pipetrace("show")
    assert (shown.code, shown.err) == (0, "")
    assert "Linear" in shown.out


def test_leaving_through_os_exit_completes_the_run_and_runs_nothing_else(
    trained: Callable[[str], Folder],
):
    folder = trained(
        """
        import atexit, os, sys
        atexit.register(print, "not at os._exit", flush=True)
        print(epoch(), flush=True)
        sys.stdout.write("never flushed")
        try:
            os._exit(9)
        finally:
            print("not this either", flush=True)
        """
    )
    alone, recorded = folder.python("train.py"), folder.pipetrace("run", "train.py")
    assert (recorded.code, recorded.out) == (alone.code, alone.out)
    assert alone.code == 9
    assert "train.html" in recorded.err
    ended = folder.newest().last(Ended)
    assert ended is not None
    assert (ended.status, ended.code) == ("finished", 9)
    assert len(folder.newest().all(Epoch)) == 1


@pytest.mark.parametrize(
    "swallowed",
    ["continue", "raise ValueError('after')", "sys.exit(4)"],
    ids=["swallowed", "replaced", "left"],
)
def test_steps_stop_a_script_with_code_0_and_let_it_clean_up(
    swallowed: str, trained: Callable[[str], Folder]
):
    folder = trained(
        f"""
        import sys
        taken = 0
        try:
            for round in range(9):
                try:
                    step()
                    taken += 1
                except BaseException:
                    {swallowed}
        finally:
            print("cleaned up after", taken)
        """
    )
    finished = folder.pipetrace("run", "--steps", "4", "train.py")
    assert (finished.code, finished.out) == (0, "cleaned up after 3\n")
    assert "Traceback" not in finished.err
    ended = folder.newest().last(Ended)
    assert ended is not None
    assert (ended.status, ended.code) == ("stopped", 0)

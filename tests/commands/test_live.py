"""`serve` and `run --live` from a shell: exit codes, Ctrl-C, and a script that notices nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commands.conftest import Folder
from pipetrace.records import Ended, Provenance
from pipetrace.tracefile import load

URL = re.compile(r"http://127\.0\.0\.1:\d+/\S*\?token=\S+")
OPENER = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1]).read()"
AROUND = """
import os, signal, sys, threading
print(sorted(key for key in os.environ if key.startswith("PIPETRACE")))
print(sys.argv, os.getcwd() == {folder!r}, __name__, sys.stdin.read())
print(threading.active_count(), signal.getsignal(signal.SIGINT).__name__)
print(sorted(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else "")
"""


def address(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if found := URL.search(line.decode()):
            return found[0]
    raise AssertionError("no address was printed")


def read(url: str) -> dict[str, object]:
    text = urllib.request.urlopen(url, timeout=30).read().decode()
    values = text.partition('id="data">')[2].partition("</script>")[0]
    found: dict[str, object] = json.loads(values)
    return found


def test_a_script_notices_nothing_and_its_exit_code_is_ours(trained: Callable[[str], Folder]):
    folder = trained(f"{AROUND}\nprint(epoch(), epoch())\nsys.exit(7)")
    text = (folder.path / "train.py").read_text().replace("{folder!r}", repr(str(folder.path)))
    (folder.path / "train.py").write_text(text)
    alone = folder.python("train.py", "--lr", "0.1", stdin="typed")
    live = folder.pipetrace("run", "--live", "--quiet", "train.py", "--lr", "0.1", stdin="typed")
    assert alone.code == live.code == 7
    # The run file is open while the script runs, also without --live.
    recorded = folder.pipetrace("run", "--quiet", "train.py", "--lr", "0.1", stdin="typed")
    assert live.out == recorded.out
    assert live.out.splitlines()[:3] == alone.out.splitlines()[:3]
    assert live.out.splitlines()[-1] == alone.out.splitlines()[-1]
    assert live.err == ""
    ended = folder.newest().last(Ended)
    assert ended is not None
    assert ended.code == 7


def test_options_before_the_script_reach_it(trained: Callable[[str], Folder]):
    folder = trained("for _ in range(9): epoch()")
    done = folder.pipetrace("run", "--live", "--quiet", "--steps", "6", "--name", "x y",
                            "--out", "o", "--no-values", "train.py", "--steps", "1")  # fmt: skip
    assert done.code == 0
    (path,) = (folder.path / "o").glob("*.pipetrace")
    run = load(path)
    origin, ended = run.first(Provenance), run.last(Ended)
    assert origin is not None
    assert ended is not None
    assert (path.stem, ended.status, origin.values) == ("x y", "stopped", False)
    assert origin.command == ("run", "train.py", "--steps", "1")


def test_what_cannot_run_is_said_once_and_nothing_is_left_behind(folder: Folder):
    done = folder.pipetrace("run", "--live", "nothing.py")
    assert done.code == 2
    assert done.err.count("nothing.py: No such file") == 1
    assert "Its page stays" not in done.err
    done = folder.pipetrace("run", "--live", "x.py", variables={"RANK": "0", "WORLD_SIZE": "2"})
    assert done.code == 2
    assert "--live serves one process" in done.err


def test_a_script_that_raises_keeps_its_traceback(trained: Callable[[str], Folder]):
    folder = trained("epoch()\nraise ValueError('on purpose')")
    done = folder.pipetrace("run", "--live", "--quiet", "train.py")
    assert done.code == 1
    assert done.err.count("ValueError: on purpose") == 1
    assert "pipetrace" not in done.err


def test_a_page_is_there_before_the_script_and_after_it_until_nobody_looks(
    trained: Callable[[str], Folder],
):
    """Without a terminal the server ends by itself, once its readers have left."""
    folder = trained(
        "import pathlib, time\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.02)\n"
        "for _ in range(3): epoch()"
    )
    with folder.start("-m", "pipetrace", "run", "--live", "train.py", stdin=subprocess.DEVNULL,
                      stdout=subprocess.DEVNULL) as process:  # fmt: skip
        url = address(process)
        first = read(url)
        assert "pipeline trace" in str(first["title"])
        events = url.replace("/run/live?", "/run/live/events?")
        with urllib.request.urlopen(events, timeout=60) as news:
            (folder.path / "go").touch()
            said = ""
            while "finished after" not in said:
                said = news.readline().decode()
            assert process.poll() is None
        assert process.wait(60) == 0
    with pytest.raises(urllib.error.URLError):
        read(url)
    assert folder.newest().last(Ended) is not None


def test_a_layer_is_run_again_in_the_process_that_ran_the_script(
    trained: Callable[[str], Folder],
):
    folder = trained("for _ in range(3): epoch()")
    with folder.start("-m", "pipetrace", "run", "--live", "train.py", stdin=subprocess.DEVNULL,
                      stdout=subprocess.DEVNULL) as process:  # fmt: skip
        url = address(process)
        with urllib.request.urlopen(url.replace("live?", "live/events?"), timeout=60) as news:
            said: dict[str, Any] = {"actions": []}
            sections: dict[str, Any] = {}
            while not said["actions"]:
                line = news.readline()
                said = json.loads(line[6:]) if line.startswith(b"data: ") else said
                sections |= said.get("sections", {})
            blocks = [block for section in sections.values() for block in section["blocks"]]
            drawn = next(block for block in blocks if block["block"] == "draws")
            asked = {"again": drawn["again"], "p": 0.9, "training": True, "seed": 3}
            request = urllib.request.Request(
                url.replace("live?", "live/act?"), method="POST",
                data=json.dumps({"name": "rerun", "arguments": asked}).encode(),
                headers={"Content-Type": "application/json",
                         "Origin": url.partition("/run")[0]},
            )  # fmt: skip
            with urllib.request.urlopen(request, timeout=60) as answer:
                fresh = json.load(answer)["blocks"][0]
            assert (fresh["block"], fresh["rates"]) == ("draws", [0.9])
            assert len(fresh["masks"][0]) == 1
            assert fresh["values"] == drawn["values"]
        assert process.wait(60) == 0


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal to a group there")
def test_ctrl_c_reaches_the_script_and_the_next_one_ends_the_server(
    trained: Callable[[str], Folder], interrupted: int
):
    folder = trained("while True:\n    epoch()\n    print('epoch', flush=True)")
    master, terminal = os.openpty()
    with folder.start("-m", "pipetrace", "run", "--live", "train.py", stdin=terminal,
                      start_new_session=True) as process:  # fmt: skip
        url = address(process)
        assert process.stdout is not None
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr is not None
        said = b""
        while b"until you press Ctrl-C" not in said:
            said = process.stderr.readline()
            assert said
        assert "interrupted after" in str(read(url)["subtitle"])
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    os.close(master)
    os.close(terminal)
    assert process.returncode == interrupted or process.returncode == -signal.SIGINT
    ended = folder.newest().last(Ended)
    assert ended is not None
    assert ended.status == "interrupted"


@pytest.mark.skipif(os.name != "posix", reason="a signal is sent")
def test_sigterm_ends_both(trained: Callable[[str], Folder]):
    folder = trained("import os\nwhile True:\n    epoch()\n    print(os.getpid(), flush=True)")
    with folder.start("-m", "pipetrace", "run", "--live", "--quiet", "train.py") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert not Path(f"/proc/{pid}").exists()


def test_serve_prints_an_address_that_answers_until_ctrl_c(
    trained: Callable[[str], Folder], press_ctrl_c: Callable[[subprocess.Popen[bytes]], None]
):
    folder = trained("epoch()")
    assert folder.pipetrace("run", "--quiet", "train.py").code == 0
    marker = folder.path / "opened"
    opener = f"{sys.executable} -c \"open({str(marker)!r}, 'w')\" %s"
    with folder.start("-m", "pipetrace", "serve", "--open", variables={"BROWSER": opener},
                      stderr=subprocess.STDOUT) as process:  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        found = URL.search(line)
        assert found is not None, line
        assert read(found[0])["runs"][0]["name"] == "train"  # type: ignore[index]  # plain JSON
        while not marker.exists():
            assert process.poll() is None
        press_ctrl_c(process)
    assert process.returncode == 0
    done = folder.pipetrace("serve", "nowhere")
    assert done.code == 2
    assert "there is no such run file or folder" in done.err


def test_a_missing_package_is_named(folder: Folder):
    program = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from pipetrace.cli import main\n"
        "sys.exit(main(['serve', '.']))"
    )
    done = folder.python("-c", program)
    assert done.code == 2
    assert done.err.strip() == (
        "pipetrace: A live page needs the package uvicorn, which is not installed: "
        'pip install "pipetrace[live]"'
    )

"""A recorded script finds the world that plain Python would have given it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from pipetrace.records import Ended, Provenance

if TYPE_CHECKING:
    from .conftest import Folder

LOOK = """
    import os
    import sys

    print(sys.argv, sys.orig_argv, sys.path, sys.flags)
    print(__name__, __file__, __package__, __doc__, __cached__, __annotations__, __builtins__)
    print(type(__loader__), __loader__.path, __spec__ and __spec__.name)
    print(list(globals()), os.getcwd(), sys.getrecursionlimit(), sys.excepthook)
    print(sys.modules["__main__"].__dict__ is globals(), "torch" in sys.modules)
    print([name for name in ("PWD", "PYTHONPATH") if name in os.environ])
"""


@pytest.mark.parametrize(
    "typed",
    [
        ["look.py", "--json", "--help", "-m", "--", "--out", "x", "a b", ""],
        ["./inside/../inside//look.py"],
        ["link.py", "--steps"],
        ["-m", "package", "-m", "--json"],
        ["-m", "package.inner.look", "--", "--quiet"],
    ],
    ids=["script", "dots", "symlink", "package", "module"],
)
def test_a_script_finds_what_plain_python_gives_it(folder: Folder, typed: list[str]):
    look = textwrap.dedent(LOOK)
    folder.write(
        {
            "look.py": look,
            "inside/look.py": look,
            "package/__init__.py": "import sys\nprint('package', sys.argv, sys.path[0])",
            "package/__main__.py": "from .inner import word\n" + look,
            "package/inner/__init__.py": "word = 1",
            "package/inner/look.py": "from ..inner import word\nfrom . import word as w\n" + look,
        }
    )
    (folder.path / "link.py").symlink_to("inside/look.py")
    folder.same(*typed)


SHADOWS = ("click", "html", "msgspec", "records", "rich", "views", "webbrowser")
"""Names of libraries that we import, early or late, and that torch does not; two of our own."""


def test_modules_beside_a_script_are_the_scripts_and_ours_still_work(folder: Folder):
    """Also at exit, and also where pipetrace itself is started from among them with -m."""
    folder.write({f"{name}.py": f"class Own:\n    place = {name!r}\n" for name in SHADOWS})
    folder.write(
        {"rich/__init__.py": "from rich.table import Own", "rich/table.py": "class Own: 1"}
    )
    (folder.path / "rich.py").unlink()
    names = ", ".join(SHADOWS)
    folder.write(
        {
            "train.py": f"""
                import atexit, pickle, sys
                import {names}
                import late_one

                def leave():
                    import late
                    print(late.word, sys.argv, sys.path[0] == {str(folder.path)!r})
                    for module in ({names}):
                        assert pickle.loads(pickle.dumps(module.Own)) is module.Own
                        print(module.Own.__module__)

                atexit.register(leave)
                import torch
                print(torch.nn.Linear(1, 1)(torch.ones(2, 1)).shape)
            """,
            "late.py": "word = 'late'",
            "late_one.py": "import rich.table, msgspec\nprint(rich.table.Own, msgspec.Own)",
        }
    )
    finished = folder.same("train.py", "x")
    assert finished.code == 0, finished.err
    assert finished.out.startswith("<class 'rich.table.Own'> <class 'msgspec.Own'>\ntorch.Size")
    shown = folder.pipetrace("run", "--json", "train.py", "x")
    assert '"title":"train.py' in shown.out
    assert finished.out == shown.err
    assert folder.pipetrace("show").out.startswith("train.py")


def test_a_script_has_its_own_json_although_we_have_used_the_librarys(folder: Folder):
    """Plain Python fails here, in `import torch`: that there are two of them harms nobody."""
    folder.write({"json.py": "word = 'own'", "train.py": "import json, torch\nprint(json.word)"})
    finished = folder.pipetrace("run", "train.py")
    assert (finished.code, finished.out) == (0, "own\n")


def test_a_script_may_name_a_standard_module_that_it_lies_beside(folder: Folder):
    """`-m json.tool` finds the library's, which we have loaded, and does not load it again."""
    finished = folder.same("-m", "json.tool", stdin='{"a": [1]}')
    assert finished.out == '{\n    "a": [\n        1\n    ]\n}\n'


PICKLES = """
    import atexit
    import io
    import pickle
    import sys

    import torch


    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(2, 1)

        def forward(self, x):
            return self.inner(x)


    def save(when):
        file = io.BytesIO()
        torch.save(net, file)
        file.seek(0)
        print(when, type(torch.load(file, weights_only=False)) is Net, len(file.getvalue()) > 0)
        print(pickle.loads(pickle.dumps(Net)) is sys.modules["__main__"].Net, __name__)


    net = Net()
    net(torch.ones(3, 2)).sum().backward()
    save("now")
    atexit.register(save, "at exit")
    print(torch.__spec__.name, torch.__spec__.origin == torch.__file__)
    print(type(torch.__loader__), torch.__loader__ is torch.__spec__.loader)
"""


def test_classes_of_main_are_pickled_also_at_exit(folder: Folder):
    folder.write({"train.py": PICKLES})
    assert folder.same("train.py").out.count("True") == 8


PROCESSES = """
    import multiprocessing
    import os
    import subprocess
    import sys

    import torch
    from torch.utils.data import DataLoader, Dataset


    class Rows(Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            return torch.full((2,), float(index)), os.getpid() != parent


    def work(number):
        model = torch.nn.Linear(1, 1)
        torch.nn.init.ones_(model.weight)
        torch.nn.init.zeros_(model.bias)
        return __name__, model(torch.full((1, 1), float(number))).item(), sys.argv


    parent = os.getpid()
    if __name__ == "__main__":
        model = torch.nn.Linear(2, 2)
        for x, elsewhere in DataLoader(Rows(), batch_size=4, num_workers=2):
            model(x).sum().backward()
            print(x.tolist(), elsewhere.tolist())
        for method in ("fork", "spawn"):
            with multiprocessing.get_context(method).Pool(1) as pool:
                print(method, pool.map(work, [3, 4]))
        sys.stdout.flush()
        subprocess.run([sys.executable, "-c", "print('a child process')"], check=True)
        child = os.fork()
        if not child:
            model(torch.ones(1, 2)).sum().backward()
            print("forked child")
            sys.exit(5)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        child = os.fork()
        if not child:
            raise ValueError("from the forked child")
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_processes_that_a_script_starts_do_what_they_do_alone(folder: Folder):
    """Nothing is recorded in them, and none of them writes to the run or shows a page."""
    folder.write({"train.py": PROCESSES})
    finished = folder.same("train.py", "word")
    assert "ValueError: from the forked child" in finished.err
    assert "fork [('__main__', 3.0, ['train.py', 'word'])" in finished.out
    assert [path.name for path in (folder.path / "pipetrace-runs").iterdir()] == [
        "train.html", "train.pipetrace",
    ]  # fmt: skip
    recording = folder.newest()
    assert len(recording.all(Ended)) == len(recording.all(Provenance)) == 1


def test_torch_reads_the_environment_that_a_script_sets_before_it_imports_torch(folder: Folder):
    folder.write(
        {
            "threads.py": """
                import importlib.util, os, sys
                os.environ["OMP_NUM_THREADS"] = sys.argv[1]
                print("torch" in sys.modules, importlib.util.find_spec("torch").origin)
                from torch.utils.data import DataLoader
                import torch.nn as nn, torch
                os.environ["OMP_NUM_THREADS"] = "1"
                rows = torch.randn(2000, 2000, generator=torch.Generator().manual_seed(0))
                print(torch.get_num_threads(), rows.sum().item().hex(), nn is torch.nn)
            """
        }
    )
    unset = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"))
    assert folder.same("threads.py", "1", variables=unset).out.splitlines()[1][0] == "1"
    folder.same("threads.py", "2", variables=unset | {"OMP_NUM_THREADS": "1"})

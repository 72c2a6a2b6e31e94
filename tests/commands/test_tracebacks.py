"""What a recorded script raises is printed as plain Python prints it, without our frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipetrace.records import Ended, Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Folder

CHAINED = """
    class Deep(nn.Module):
        def forward(self, x):
            try:
                return nn.Linear(3, 2)(x)
            except RuntimeError as error:
                raise ValueError("from the forward") from error


    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(4, 4), Deep())

        def forward(self, x):
            return self.inner(x)


    print(epoch())
    outer = Outer()
    try:
        try:
            outer(x)
        except ValueError:
            F.cross_entropy(x, y + 90)
    except IndexError as error:
        error.add_note("a note")
        raise ExceptionGroup("several", [error, KeyError("other")])
"""


def test_exceptions_from_inside_a_forward_keep_their_chain_and_lose_our_frames(
    trained: Callable[[str], Folder],
):
    folder = trained(CHAINED)
    finished = folder.same("train.py")
    assert finished.code == 1
    assert "direct cause" in finished.err
    failure, ended = folder.newest().last(Failure), folder.newest().last(Ended)
    assert failure is not None
    assert ended is not None
    assert (failure.type, ended.status, ended.code) == ("ExceptionGroup", "raised", 1)


def test_a_forward_that_raises_is_shown_with_its_stage_and_shapes(
    trained: Callable[[str], Folder],
):
    folder = trained("import setting\nprint(epoch())\nsetting.x = torch.randn(24, 5)\nstep()")
    alone = folder.python("train.py")
    recorded = folder.pipetrace("run", "train.py")
    assert recorded.out == alone.out
    assert recorded.err.startswith(alone.err)
    page = recorded.err.removeprefix(alone.err)
    assert "RuntimeError: mat1 and mat2 shapes cannot be multiplied (8x5 and 4x6)" in page
    assert "8 × 5" in page
    assert "Traceback" not in page
    failure = folder.newest().last(Failure)
    assert failure is not None
    assert (failure.module, failure.module_type, failure.input_shapes[0]) == ("0", "Linear", (8, 5))


WORKERS = """
    import threading

    from torch.utils.data import DataLoader, Dataset


    class Rows(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            if index == 2:
                raise LookupError("no such row")
            return torch.ones(4)


    def work():
        model(torch.ones(2, 9))


    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()
    for batch in DataLoader(Rows(), batch_size=1, num_workers=1):
        print(model.eval()(batch).shape)
"""


def test_exceptions_of_threads_and_of_loading_processes_are_plain(
    trained: Callable[[str], Folder],
):
    finished = trained(WORKERS).same("train.py")
    assert "Exception in thread worker" in finished.err
    assert finished.err.count("LookupError: no such row") == 1


def test_an_import_that_is_no_python_and_a_script_that_is_none(folder: Folder):
    folder.write(
        {"train.py": "import broken", "broken.py": "x = 1\nif x\n  y", "wrong.py": "x = = 1"}
    )
    assert "SyntaxError" in folder.same("train.py").err
    assert folder.same("wrong.py").err.startswith('  File "')
    assert "SyntaxError" in folder.same("-m", "broken").err


def test_the_scripts_own_hook_reports_what_it_raised(folder: Folder):
    folder.write(
        {
            "hooked.py": """
                import sys, traceback
                def hook(kind, error, trace):
                    print("hooked", kind, error, sys.last_value is error, file=sys.stderr)
                    traceback.print_exception(kind, error, trace)
                    sys.exit(7)
                sys.excepthook = hook
                [][0]
            """,
            "failing.py": """
                import sys
                def hook(kind, error, trace):
                    return {}["the hook's own"]
                sys.excepthook = hook
                [][0]
            """,
            "missing.py": "import sys\ndel sys.excepthook\n[][0]",
        }
    )
    assert folder.same("hooked.py").code == 7
    assert "Error in sys.excepthook" in folder.same("failing.py").err
    assert "sys.excepthook is missing" in folder.same("missing.py").err


def test_module_frames_are_those_of_plain_python(folder: Folder):
    folder.write(
        {
            "package/__init__.py": "",
            "package/train.py": "from . import parts\nparts.work()",
            "package/parts.py": "def work():\n    raise ValueError('é') from None",
            "early/__init__.py": "raise ZeroDivisionError('in the package')",
            "early/train.py": "",
        }
    )
    assert "runpy" in folder.same("-m", "package.train").err
    assert "in the package" in folder.same("-m", "early.train").err

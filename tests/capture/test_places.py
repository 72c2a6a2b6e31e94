"""A line that is named is the user's line: the one that called an op, or made a module."""

from __future__ import annotations

import functools
import gc
import importlib.util
import inspect
import sys
import weakref
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

import pipetrace
from pipetrace.capture import places
from pipetrace.examples import dropout

HERE = __file__


@pytest.fixture
def made():
    """Watch the making of modules; return what is known of one."""
    end = places.watch_making()
    yield places.maker
    end()


def load(path: Path, text: str):
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code_in(filename: str):
    return compile("def f():\n    pass\n", filename, "exec")


@pytest.mark.parametrize(
    ("filename", "users"),
    [
        (HERE, True),
        ("/home/somebody/train.py", True),
        ("train.py", True),
        ("<stdin>", True),
        ("<ipython-input-1-abc>", True),
        (inspect.__file__, False),
        (nn.__file__, False),
        (pytest.__file__, False),
        ("/elsewhere/lib/python3.12/site-packages/thing/layer.py", False),
        ("/usr/lib/python3/dist-packages/thing.py", False),
        ("<frozen importlib._bootstrap>", False),
        ("<eval_with_key>.0", False),
        (places.__file__, False),
        (dropout.__file__, True),
        (str(Path(pipetrace.__file__).parent.parent / "pipetrace_notes" / "train.py"), True),
        (str(Path(pipetrace.__file__).parent / "examples_of_mine.py"), False),
    ],
)
def test_whose_code_it_is(filename: str, users: bool):
    assert places.is_users(code_in(filename)) is users


def test_equal_code_in_two_files_is_told_apart():
    mine, installed = code_in("/home/somebody/a.py"), code_in(nn.__file__)
    assert mine == installed, "Python compares code without its file"
    assert [places.is_users(mine), places.is_users(installed)] == [True, False]
    assert [places.is_users(installed), places.is_users(mine)] == [False, True]


def test_the_innermost_user_line_is_found_through_other_peoples_code():
    found = functools.reduce(lambda *_: places.here(sys._getframe()), [1, 2])
    assert (found.file, found.function) == (HERE, "<lambda>")
    assert "functools.reduce" in found.text
    assert places.here(None) is None


def test_a_place_has_its_text_unless_that_is_not_to_be_kept():
    frame = sys._getframe()
    assert places.place(frame.f_code, frame.f_lineno).text.startswith("assert places.place(")
    with places.quoted(False):
        with places.quoted(False), places.quoted(True):
            assert places.place(frame.f_code, frame.f_lineno).text == ""
        assert places.place(frame.f_code, frame.f_lineno).text == ""
    assert places.place(code_in("/nowhere/at/all.py"), 3).text == ""


def test_a_traceback_keeps_the_users_lines_only(tmp_path: Path):
    other = load(tmp_path / "other.py", "def fail(linear, x):\n    return linear(x)\n")
    with pytest.raises(RuntimeError) as raised:
        other.fail(nn.Linear(2, 3), torch.ones(4, 5))
    found = places.places(raised.value.__traceback__)
    assert [(Path(p.file).name, p.function) for p in found] == [
        (Path(HERE).name, "test_a_traceback_keeps_the_users_lines_only"), ("other.py", "fail"),
    ]  # fmt: skip
    assert found[1].text == "return linear(x)"
    assert places.places(None) == ()


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.callback = lambda: self.inner


class Deeper(Block):
    def __init__(self) -> None:
        super().__init__(3)


@dataclass(eq=False)
class Data(nn.Module):
    width: int = 2

    def __post_init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(self.width, 1)


class Late(nn.Module):
    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        super().__init__()


def test_the_maker_of_a_layer_is_the_line_that_calls_its_class(made):
    layer = nn.Linear(2, 3)
    assert made(layer).text == "layer = nn.Linear(2, 3)"
    assert made(layer).function == "test_the_maker_of_a_layer_is_the_line_that_calls_its_class"


@pytest.mark.parametrize("cls", [Deeper, Data, Late])
def test_a_constructor_of_ones_own_is_not_its_own_maker(made, cls: type[nn.Module]):
    module = cls()
    assert made(module).text == "module = cls()"


def test_inner_layers_are_made_inside_the_constructor(made):
    assert made(Deeper().inner).text == "self.inner = nn.Linear(width, width)"
    assert made(Deeper().inner).function == "__init__"
    assert made(Data().linear).text == "self.linear = nn.Linear(self.width, 1)"


def test_layers_on_several_lines_have_each_their_own(made):
    model = nn.Sequential(
        nn.Linear(2, 3),
        nn.Sequential(
            nn.ReLU(),
            nn.Dropout(0.5)),
        nn.Linear(3, 1),
    )  # fmt: skip
    texts = [made(module).text for module in model.modules()]
    assert texts == ["model = nn.Sequential(", "nn.Linear(2, 3),", "nn.Sequential(", "nn.ReLU(),",
                     "nn.Dropout(0.5)),", "nn.Linear(3, 1),"]  # fmt: skip


def test_a_comprehension_makes_layers_on_its_line(made):
    layers = nn.ModuleList(
        nn.Linear(width, width)
        for width in range(1, 4)
    )  # fmt: skip
    listed = nn.ModuleList([nn.Linear(width, width) for width in range(1, 4)])
    assert {made(layer).text for layer in layers} == {"nn.Linear(width, width)"}
    assert {made(layer).text for layer in listed} == {
        "listed = nn.ModuleList([nn.Linear(width, width) for width in range(1, 4)])"
    }


def test_a_factory_in_another_file_is_the_maker(made, tmp_path: Path):
    other = load(
        tmp_path / "factory.py",
        "from torch import nn\ndef build(width):\n    return nn.Linear(width, 1)\n",
    )
    place = made(other.build(4))
    assert (Path(place.file).name, place.line, place.function) == ("factory.py", 3, "build")


def test_layers_that_torch_makes_belong_to_the_line_that_asked_for_them(made):
    attention = nn.MultiheadAttention(4, 2)
    assert made(attention.out_proj).text == "attention = nn.MultiheadAttention(4, 2)"


def test_the_watch_ends_without_a_trace():
    original = nn.Module.__init__
    end = places.watch_making()
    assert nn.Module.__init__ is not original
    end()
    assert nn.Module.__init__ is original
    assert places.maker(nn.Linear(1, 1)) is None


def test_modules_that_are_gone_are_forgotten(made):
    kept = [nn.Linear(1, 1) for _ in range(50)]
    gc.collect()
    known = len(places._made)
    assert known >= 50
    kept.clear()
    gc.collect()
    assert len(places._made) <= known - 50


def test_watching_keeps_nothing_alive(made):
    class Token:
        pass

    class Held(nn.Module):
        def __init__(self) -> None:
            token = Token()
            super().__init__()
            self.ref = weakref.ref(token)

    held = Held()
    assert held.ref() is None


def test_a_module_that_cannot_be_hashed_is_watched(made):
    class Odd(nn.Module):
        __hash__ = None

        def __eq__(self, other: object) -> bool:
            return True

    module = Odd()
    assert made(module).text == "module = Odd()"


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_scripting_works_while_makers_are_watched(made):
    scripted = torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    assert scripted(torch.ones(1, 2)).shape == (1, 2)

"""Rules are chosen by ids, by names, by the project's file and by comments on statements."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from torch import nn
from torch.nn import functional as F

import pipetrace as pt
from pipetrace.checks import configuration, judge, selecting
from pipetrace.checks.comments import Comments, ignored
from pipetrace.checks.findings import Finding
from pipetrace.errors import PipetraceError
from pipetrace.records import Selection, SourceText
from pipetrace.tracefile import Recording

RULES = judge.every_rule()
NAME = "functional-dropout-in-eval"


class Dropping(nn.Module):
    """Drops in every mode."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return F.dropout(self.linear(x), 0.5)


class Meant(Dropping):
    """The same, and says so on the statement's last line."""

    def forward(self, x):
        return F.dropout(
            self.linear(x),
            0.5,
        )  # pipetrace: ignore[PTR101]


def ids(model: nn.Module, **chosen) -> list[str]:
    return [each.id for each in pt.check(model, torch.ones(2, 4), **chosen)]


def test_ids_families_and_names_select_and_ignore():
    assert "PTR101" in ids(Dropping())
    for word in ("PTR101", "PTR1", "ptr", NAME):
        assert "PTR101" in ids(Dropping(), select=[word])
        if word != "ptr":
            assert "PTR101" not in ids(Dropping(), ignore=[word])
    assert "PTR101" in ids(Dropping(), select=["PTR101"], ignore=["PTR1"])
    assert "PTR101" not in ids(Dropping(), select=["PTR1"], ignore=["PTR101"])


def test_an_unknown_id_is_an_error_that_names_the_nearest():
    for word in ("PTR999", "PTR01", "functional-droput-in-eval", "E101"):
        with pytest.raises(PipetraceError, match=r"there is no rule .*`pipetrace rules`"):
            ids(Dropping(), select=[word])
    with pytest.raises(PipetraceError, match=r"Did you mean PTR101"):
        selecting.find("functional-droput-in-eval", RULES)
    with pytest.raises(PipetraceError, match=r'Write ignore=\["PTR101"\]'):
        ids(Dropping(), ignore="PTR101")


def test_what_leaves_no_rule_is_an_error():
    with pytest.raises(PipetraceError, match="No rule is left to ask"):
        ids(Dropping(), ignore=["PTR"])
    with pytest.raises(PipetraceError, match="no rule is named"):
        ids(Dropping(), select=[""])


def test_a_comment_on_any_line_of_a_statement_silences_it():
    assert "PTR101" not in ids(Meant())


def test_comments_are_read_as_python_reads_them():
    text = '''
@decorated
def f(x):  # pipetrace: ignore[PTR2]
    """# pipetrace: ignore"""
    if g(
        x,  # pipetrace: ignore[ptr101, PTR3]
    ):
        return x
    y = "# pipetrace: ignore"
    return h(x)  #pipetrace:ignore
'''
    assert ignored(text) == {
        3: ("PTR2",), 5: ("PTR101", "PTR3"), 6: ("PTR101", "PTR3"), 7: ("PTR101", "PTR3"),
        10: ("PTR",),
    }  # fmt: skip
    assert ignored("x = (  # pipetrace: ignore\n") == {1: ("PTR",)}
    assert ignored("") == {}


def test_a_comment_takes_names_and_says_what_is_no_rule(tmp_path: Path):
    names = {rule.name: rule.id for rule in RULES}
    text = f"a = 1  # pipetrace: ignore[{NAME}]\nb = 2  # pipetrace: ignore {NAME}\n"
    text += "c = 3  # pipetrace: ignore[PTR999]\nd = 4  # pipetrace: ignore  # noqa\n"
    run = Recording([SourceText(path="/a/net.py", text=text)], {}, None)
    comments = Comments(run, names)
    finding = Finding(id="PTR101", severity="warning", file="/a/net.py", message="", evidence="",
                      fix="")  # fmt: skip
    silenced = [comments.silence(replace(finding, line=line)) for line in range(1, 5)]
    assert silenced == [True, False, False, True]
    assert comments.strange() == [
        f"net.py:2: its comment names no rule: `{NAME}` without brackets.",
        "net.py:3: its comment names no rule: PTR999.",
    ]


def project(folder: Path, text: str) -> Path:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    inner = folder / "src" / "deep"
    inner.mkdir(parents=True, exist_ok=True)
    return inner


def test_the_nearest_file_with_a_table_is_read(tmp_path: Path):
    inner = project(tmp_path, '[tool.pipetrace]\nselect = ["PTR1"]\nignore = ["PTR101"]\n')
    (inner / "pyproject.toml").write_text("[tool.other]\n", encoding="utf-8")
    found = configuration.selection(RULES, start=inner)
    assert (found.select, found.ignore, found.folder) == (("PTR1",), ("PTR101",), str(tmp_path))
    typed = configuration.selection(RULES, [NAME], ["PTR1"], inner)
    assert (typed.select, typed.ignore) == (("PTR101",), ("PTR1",))
    typed = configuration.selection(RULES, ["PTR101"], (), inner)
    assert (typed.select, typed.ignore) == (("PTR101",), ())


def test_ids_are_left_out_of_files_by_pattern(tmp_path: Path):
    text = '[tool.pipetrace.per-file-ignores]\n"src/*.py" = ["PTR1"]\n"old.py" = ["PTR"]\n'
    found = configuration.selection(RULES, start=project(tmp_path, text))
    for file, left_out in (
        (tmp_path / "src" / "deep" / "a.py", True),
        (tmp_path / "a.py", False),
        (Path("/elsewhere/src/a.py"), False),
        (Path("/elsewhere/old.py"), True),
    ):
        assert configuration.left_out(found, str(file), "PTR101") is left_out
    assert configuration.left_out(found, "", "PTR101") is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.pipetrace\n", "cannot be read as TOML"),
        ("[tool]\npipetrace = 3\n", r"write a table, \[tool.pipetrace\]"),
        ("[tool.pipetrace]\nselects = []\n", "no key 'selects'. Did you mean select"),
        ("[tool.pipetrace]\nzzz = []\n", "There are select, ignore"),
        ('[tool.pipetrace]\nignore = "PTR1"\n', r'Write ignore = \["PTR101"\]'),
        ('[tool.pipetrace]\nignore = ["PTR999"]\n', "ignore: there is no rule 'PTR999'"),
        ("[tool.pipetrace]\nper-file-ignores = []\n", "per-file-ignores is no table"),
        ('[tool.pipetrace.per-file-ignores]\n"a.py" = ["x"]\n', "no rule 'x'"),
    ],
)
def test_a_file_that_is_written_wrong_is_named_with_what_to_write(tmp_path, text, said):
    with pytest.raises(PipetraceError, match=said) as caught:
        configuration.selection(RULES, start=project(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path / "pyproject.toml"))


def test_what_a_run_was_asked_is_asked_again():
    """The page of a check shows what the check has printed."""
    run = pt.trace(Dropping().eval(), torch.ones(2, 4))
    recording = run.recording
    assert [each.id for each in judge.judge(recording)] == [each.id for each in pt.check(run)]
    recording.facts.append(Selection(ignore=("PTR",)))
    assert judge.asked_of(recording) == []
    assert pt.check(run) == []
    assert "PTR101" in [each.id for each in pt.check(run, select=["PTR1"])]

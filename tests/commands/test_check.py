"""`pipetrace check`: a script, a run or a model goes in; findings and a code come out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pipetrace.checks.judge import every_rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Folder

NET = """
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(4, 6)
        self.out = nn.Linear(6, 2)

    def forward(self, x):
        return self.out(F.dropout(self.hidden(x), 0.5))  # the line
"""
BUGGY = """
import net, sys

model = net.Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    model.train()
    print(epoch())
    model.eval()
    with torch.no_grad():
        model(x)
print(*sys.argv[1:])
"""


@pytest.fixture
def buggy(trained: Callable[[str], Folder]) -> Folder:
    """Write a script whose dropout is alive in evaluation."""
    # The step of the setting trains the model that is there when it is called.
    folder = trained(f"import setting\n{BUGGY}".replace(
        "optimizer =", "setting.model = model\noptimizer = setting.optimizer ="))  # fmt: skip
    folder.write({"net.py": NET})
    return folder


def test_a_script_prints_its_own_and_the_findings_go_to_stderr(buggy: Folder):
    alone = buggy.python("train.py", "--epochs", "2")
    checked = buggy.pipetrace("check", "train.py", "--epochs", "2")
    assert (checked.code, checked.out) == (1, alone.out)
    assert "! PTR101 warning:" in checked.err
    assert "net.py:12" in checked.err
    assert "training=self.training" in checked.err
    assert "finding: 1 warning" in checked.err or "findings: 1 warning" in checked.err
    assert checked.err.endswith(
        "\n  page  pipetrace-runs/train.html\n  run   pipetrace-runs/train.pipetrace\n"
    )
    page = json.loads(buggy.pipetrace("show", "--json").out)
    (section,) = [each for each in page["sections"] if each["id"] == "findings"]
    assert section["intro"] in " ".join(checked.err.split())
    assert "PTR101 warning" in section["blocks"][0]["text"]
    quiet = buggy.pipetrace("check", "--quiet", "--exit-zero", "train.py", "--epochs", "2")
    assert (quiet.code, quiet.out) == (0, alone.out)
    assert "/net.py:12: PTR101 warning: " in quiet.err
    assert all(": PTR" in line for line in quiet.err.splitlines())


def test_a_recorded_run_is_judged_without_torch(buggy: Folder):
    buggy.pipetrace("check", "--quiet", "train.py")
    (run,) = buggy.runs()
    (buggy.path / "torch.py").write_text("raise ImportError")
    before = run.read_bytes()
    checked = buggy.pipetrace("check", str(run), "--severity", "warning")
    assert (checked.code, checked.err) == (1, "")
    assert "net.py:12" in checked.out
    ignored = buggy.pipetrace("check", str(run), "--ignore", "PTR1")
    assert "PTR101" not in ignored.out
    assert run.read_bytes() == before


def test_a_plain_run_says_what_it_finds_too(buggy: Folder):
    recorded = buggy.pipetrace("run", "train.py")
    assert recorded.code == 0
    assert "PTR101" in recorded.err
    checked = buggy.pipetrace("check", str(buggy.runs()[0]))
    assert checked.code == 1
    assert " calls of models" in " ".join(checked.out.split())


def test_a_model_alone_takes_options_after_it(buggy: Folder):
    checked = buggy.pipetrace("check", "net.py:Net", "--input", "8,4", "--format", "json")
    told = json.loads(checked.out)
    assert checked.code == 1
    assert [each["line"] for each in told["findings"] if each["id"] == "PTR101"] == [12]
    assert buggy.pipetrace("show").out.startswith("Net - check")
    assert buggy.pipetrace("check", "net.py:Net", "--keyword", "x=8,4").code == 1


@pytest.mark.parametrize("form", ["json", "sarif"])
def test_a_report_is_all_that_is_on_stdout(buggy: Folder, form: str):
    alone = buggy.python("train.py")
    checked = buggy.pipetrace("check", "--format", form, "train.py")
    told = json.loads(checked.out)
    assert checked.code == 1
    assert checked.err == alone.out
    written = buggy.pipetrace("check", "--format", form, "--output", "found", "train.py")
    assert (written.code, written.out, written.err) == (1, alone.out, "Written: found\n")
    kept = json.loads((buggy.path / "found").read_text())
    assert kept == told
    if form == "json":
        assert {each["id"] for each in told["findings"] if each["severity"] == "warning"} == {
            "PTR101"
        }
        return
    (result,) = [each for each in told["runs"][0]["results"] if each["level"] == "warning"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "net.py", "uriBaseId": "%SRCROOT%"}


def test_the_project_and_its_comments_are_heard(buggy: Folder):
    def code(*options: str) -> int:
        return buggy.pipetrace("check", "--quiet", *options, "train.py").code

    buggy.write({"pyproject.toml": '[tool.pipetrace]\nignore = ["PTR101"]\n'})
    assert (code(), code("--ignore", "PTR9")) == (0, 2 if no_family("PTR9") else 1)
    buggy.write({"pyproject.toml": '[tool.pipetrace.per-file-ignores]\n"n*.py" = ["PTR1"]\n'})
    assert code() == 0
    buggy.write({"pyproject.toml": '[tool.pipetrace]\nignored = ["PTR101"]\n'})
    refused = buggy.pipetrace("check", "train.py")
    assert (refused.code, refused.out) == (2, "")
    assert "no key 'ignored'. Did you mean ignore?" in refused.err
    buggy.write({
        "pyproject.toml": "",
        "net.py": NET.replace("# the line", "# pipetrace: ignore[PTR101]"),
    })  # fmt: skip
    assert code() == 0
    assert "PTR101" not in buggy.pipetrace("check", str(buggy.runs()[-1])).out


def no_family(start: str) -> bool:
    return not any(rule.id.startswith(start) for rule in every_rule())


def test_a_check_that_could_not_see_all_returns_2(trained: Callable[[str], Folder]):
    """What was found until then is shown, and a traceback is printed as Python prints it."""
    folder = trained("epoch()\nprint(1 / 0)")
    alone = folder.python("train.py")
    raised = folder.pipetrace("check", "train.py")
    assert (raised.code, raised.out) == (2, alone.out)
    assert raised.err.startswith(alone.err)
    assert "Only until it raised was the program seen." in raised.err
    folder.write({"left.py": "from setting import *\nepoch()\nraise SystemExit(3)"})
    left = folder.pipetrace("check", "--format", "json", "left.py")
    assert left.code == 2
    assert json.loads(left.out)["reasons"] == [
        "Only until it ended with exit code 3 was the program seen."
    ]
    folder.write({"bare.py": "print('no model')"})
    bare = folder.pipetrace("check", "bare.py")
    assert (bare.code, bare.out) == (2, "no model\n")
    assert "nothing was checked" in bare.err
    for words in (("nowhere.py",), ("nowhere.pipetrace",), ("nowhere:make",)):
        missing = folder.pipetrace("check", *words)
        assert missing.code == 2
        assert missing.err.startswith("pipetrace: ")
        assert missing.err.count("\n") == 1


def test_steps_end_a_check_early(trained: Callable[[str], Folder]):
    folder = trained("while True:\n    epoch()")
    checked = folder.pipetrace("check", "--steps", "4", "train.py")
    assert checked.code == 0
    assert "stopped early" in checked.err
    told = json.loads(folder.pipetrace("check", "--steps", "4", "--format", "json", "train.py").out)
    assert not told["complete"]
    assert len(told["reasons"]) == 2


def test_what_a_forward_prints_is_printed_once(trained: Callable[[str], Folder]):
    net = "from torch import nn\nclass Net(nn.Linear):\n    def forward(self, x):\n"
    net += "        print('called')\n        return super().forward(x)\n"
    folder = trained(
        "import setting, net\nsetting.model = model = net.Net(4, 2)\n"
        "setting.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "for _ in range(3):\n    epoch()\n"
    )
    folder.write({"net.py": net})
    alone = folder.python("train.py")
    assert alone.out.count("called") > 3
    assert folder.pipetrace("check", "train.py").out == alone.out
    assert folder.pipetrace("run", "train.py").out == alone.out


def test_a_module_runs_as_after_python_m(trained: Callable[[str], Folder]):
    folder = trained("")
    folder.write({"package/__init__.py": "", "package/train.py": "from setting import *\nepoch()"})
    assert folder.pipetrace("check", "--quiet", "-m", "package.train").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--input", "2,3", "train.py"), "--input is not for a script"),
        (("net.py:Net", "--steps", "3"), "--steps is not for a model"),
        (("a.pipetrace", "--out", "there"), "--out is not for a run"),
        (("a.pipetrace", "b.pipetrace"), "Unexpected words after a.pipetrace: b.pipetrace"),
        (("--select", "PTR999", "train.py"), "there is no rule 'PTR999'"),
        (("--select", "PTR1", "--ignore", "PTR1", "train.py"), "No rule is left to ask"),
        (("--select", "", "train.py"), "no rule is named"),
        (("--output", "nowhere/a.txt", "train.py"), "there is no such folder"),
        (("nowhere.py",), "pipetrace check train.py"),
        (("-m", "nowhere.at"), "pipetrace check -m package.train"),
        ((), "Missing argument"),
    ],
)
def test_what_is_typed_wrong_is_said_on_one_line(buggy: Folder, words: tuple[str, ...], said: str):
    refused = buggy.pipetrace("check", *words)
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err
    assert refused.err.count("\n") == 1


def test_rules_are_listed_and_explained(folder: Folder):
    listed = folder.pipetrace("rules")
    told = json.loads(folder.pipetrace("rules", "--json").out)
    assert [rule["id"] for rule in told] == [rule.id for rule in every_rule()]
    assert all(rule["id"] in listed.out for rule in told)
    by_id = folder.pipetrace("explain", "ptr101")
    assert by_id == folder.pipetrace("explain", "functional-dropout-in-eval")
    assert by_id.code == 0
    assert "F.dropout(F.relu(self.hidden(x)), 0.3)" in by_id.out
    assert "self.training" in by_id.out
    family = folder.pipetrace("explain", "PTR3")
    assert (family.code, family.out) == (0, folder.pipetrace("rules", "ptr3").out)
    assert "PTR301" in family.out
    assert "PTR901" not in family.out
    assert "PTR101" in folder.pipetrace("explain", "in-eval").out
    unknown = folder.pipetrace("explain", "drpout")
    assert (unknown.code, unknown.out) == (2, "")
    assert "`pipetrace rules` lists them." in unknown.err

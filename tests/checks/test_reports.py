"""JSON keeps its keys, and SARIF is what code hosts accept."""

from __future__ import annotations

import json
import re
from pathlib import Path, PureWindowsPath

import pytest

from pipetrace.checks import judge, reports
from pipetrace.checks.findings import Finding

RULES = judge.every_rule()


def finding(file: Path | str, **other) -> Finding:
    return Finding(**{
        "id": "PTR101", "severity": "warning", "file": str(file), "line": 3, "module": "net.1",
        "message": "It drops.", "evidence": "p = 0.5", "fix": "F.dropout(x, 0.5, self.training)",
        "text": "F.dropout(x)", **other,
    })  # fmt: skip


def log(found: list[Finding], start: Path, reasons: tuple[str, ...] = ()) -> dict:
    told = reports.sarif(found, RULES, reasons, start)
    assert json.loads(json.dumps(told)) == told
    return told


def test_sarif_has_what_its_schema_requires(tmp_path: Path):
    """The required properties, and the types of those that are used, of SARIF 2.1.0."""
    (tmp_path / ".git").mkdir()
    script = tmp_path / "a b" / "träin.py"
    script.parent.mkdir()
    script.write_text("")
    other = finding(script, severity="advice", module="", text="")
    told = log([finding(script), other], script)
    assert told["version"] == "2.1.0"
    assert re.fullmatch(r"https://\S+sarif-2\.1\.0\.json", told["$schema"])
    (run,) = told["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "pipetrace"
    assert re.fullmatch(r"\d+\.\d+\.\d+", driver["semanticVersion"])
    for rule in driver["rules"]:
        assert rule["id"]
        assert rule["help"]["text"]
        assert rule["shortDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("error", "warning", "note", "none")
    assert run["invocations"][0]["executionSuccessful"] is True
    (base,) = run["originalUriBaseIds"].values()
    assert base["uri"] == f"{tmp_path.as_uri()}/"
    one, two = run["results"]
    for result in (one, two):
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"] == {"uri": "a%20b/tr%C3%A4in.py", "uriBaseId": "%SRCROOT%"}
        assert place["region"]["startLine"] == 3
    assert (one["level"], two["level"]) == ("warning", "note")
    named = one["locations"][0]["logicalLocations"]
    assert named == [{"fullyQualifiedName": "net.1", "kind": "module"}]
    assert one["partialFingerprints"] != two["partialFingerprints"]


def test_a_fingerprint_stays_when_lines_above_move(tmp_path: Path):
    def fingerprint(**other) -> dict[str, str]:
        found = finding(tmp_path / "a.py", **other)
        return log([found], tmp_path)["runs"][0]["results"][0]["partialFingerprints"]

    assert fingerprint(line=3) == fingerprint(line=9)
    assert fingerprint(text="x") != fingerprint(text="y")


def test_a_finding_without_a_line_is_placed_at_the_script(tmp_path: Path):
    script = tmp_path / "train.py"
    script.write_text("")
    result = log([finding("", line=0)], script)["runs"][0]["results"][0]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "train.py"
    assert place["region"] == {"startLine": 1}


def test_a_file_elsewhere_has_an_address_of_its_own(tmp_path: Path):
    def address(file: str) -> dict[str, str]:
        result = log([finding(file)], tmp_path)["runs"][0]["results"][0]
        return result["locations"][0]["physicalLocation"]["artifactLocation"]

    assert address("/opt/net.py") == {"uri": "file:///opt/net.py"}
    assert address("<stdin>") == {"uri": "%3Cstdin%3E"}
    assert PureWindowsPath("C:/a.py").as_uri() == "file:///C:/a.py"


def test_a_check_that_broke_off_says_so(tmp_path: Path):
    (invocation,) = log([], tmp_path, ("It raised.",))["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "It raised."
    told = reports.told([], RULES, ("It raised.",))
    assert (told["complete"], told["reasons"]) == (False, ["It raised."])


def test_the_json_keeps_its_keys():
    told = reports.told([finding("/a.py")], RULES, ())
    assert list(told) == ["version", "pipetrace", "rules", "complete", "reasons", "counts",
                          "findings"]  # fmt: skip
    assert told["counts"] == {"error": 0, "warning": 1, "advice": 0, "note": 0}
    assert list(told["findings"][0]) == [
        "id", "name", "severity", "title", "message", "evidence", "why", "fix", "module", "file",
        "line", "text",
    ]  # fmt: skip
    assert set(reports.listed(RULES)[0]) == {"id", "name", "family", "severity", "title", "why"}


@pytest.mark.parametrize("mark", [".git", "pyproject.toml"])
def test_the_root_is_that_of_the_repository_before_that_of_a_project(tmp_path: Path, mark: str):
    inner = tmp_path / "one" / "two"
    inner.mkdir(parents=True)
    (tmp_path / mark).mkdir()
    if mark == ".git":
        (inner / "pyproject.toml").write_text("")
    assert reports.root(inner) == tmp_path
    assert reports.root(inner / "a.py") == tmp_path

"""The rules of the house are numbers: raising one needs a commit of its own that says why."""

from __future__ import annotations

import ast
import inspect
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import pipetrace

LINES_IN_A_FILE = 450
LINES_IN_THE_MEDIAN_FILE = 200
COLUMNS = 100
LINES_IN_THE_PACKAGE = 52_000
PUBLIC_FUNCTIONS = 15

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "pipetrace"
FOLDERS = ("src", "tests", "benchmarks", "docs", ".ci")
READERS = (
    *(
        "records",
        "parts",
        "probed",
        "observed",
        "tried",
        "prepared",
        "blocks",
        "exercises",
        "learned",
        "learner",
        "checks",
        "errors",
        "tracefile",
        "lessons",
        "story",
        "views",
    ),
    *("alive", "following", "naming", "ops", "runs", "serving"),
)
NAMES_THAT_SAY_NOTHING = {"utils", "util", "manager", "base", "helpers", "misc", "common"}

CORE = {"torch", "numpy", "msgspec", "rich", "click", "pipetrace"}
OPTIONAL = {
    "polars": ("pipeline/", "dataframe.py"),
    "sklearn": ("pipeline/",),
    "IPython": ("integrations/",),
    "lightning": ("integrations/lightning.py",),
    "pytorch_lightning": ("integrations/lightning.py",),
    "transformers": ("integrations/huggingface.py",),
    "pytest": ("integrations/testing.py",),
    "matplotlib": ("views/figures.py", "runs.py"),
    "anywidget": ("integrations/widget.py",),
    "traitlets": ("integrations/widget.py",),
    "starlette": ("serving/",),
    "uvicorn": ("serving/process.py",),
    "fsrs": ("learner/",),
    "platformdirs": ("learner/",),
    "genanki": ("views/questions/anki.py",),
}
"""Where a package that is not always installed may be imported."""

UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b")
BANNER = re.compile(r"^\s*(#|//|/\*)\s*[-=#*~]{3,}", re.MULTILINE)
IGNORED_TYPE = re.compile(r"# type: ignore(?!\[[\w, -]+\]  # \w)")
ADDRESS = re.compile(
    r"pypi\.org|pythonhosted\.org|download\.pytorch|npmjs\.(org|com)"
    r"|--(extra-)?index-url|--find-links|--trusted-host"
)


def files(*suffixes: str) -> list[Path]:
    """Return the project's own files with these suffixes."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    found += [path for path in ROOT.iterdir() if path.is_file() and path.name != ".coverage"]
    return sorted(
        path
        for path in found
        if "__pycache__" not in path.parts and (not suffixes or path.suffix in suffixes)
    )


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def python(program: str) -> str:
    """Run a program in a fresh interpreter and return what it printed."""
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the top-level name and line of every import of a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0], node.lineno


def commands() -> Iterator[tuple[str, click.Command]]:
    from pipetrace.cli import commands as group

    waiting: list[tuple[str, click.Command]] = [("pipetrace", group)]
    while waiting:
        words, command = waiting.pop()
        yield words, command
        if isinstance(command, click.Group):
            waiting += [(f"{words} {key}", each) for key, each in command.commands.items()]


def test_no_file_is_too_long():
    long = {name(path): count(path) for path in files(".py", ".js", ".css")}
    assert {key: lines for key, lines in long.items() if lines > LINES_IN_A_FILE} == {}


def test_the_median_file_is_short():
    lines = [count(path) for path in PACKAGE.rglob("*.py")]
    assert statistics.median(lines) < LINES_IN_THE_MEDIAN_FILE


def test_the_package_is_small():
    content = [folder for folder in (PACKAGE / "lessons").iterdir() if folder.is_dir()]
    content.append(PACKAGE / "examples" / "rules")
    own = [
        path
        for path in PACKAGE.rglob("*.py")
        if not any(folder in path.parents for folder in content)
    ]
    assert sum(map(count, own)) < LINES_IN_THE_PACKAGE


def test_no_line_is_too_wide():
    wide = [
        f"{name(path)}:{number}"
        for path in files(".py", ".js", ".css")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > COLUMNS
    ]
    assert wide == []


def test_there_are_few_public_functions():
    functions = [key for key in pipetrace.__all__ if inspect.isfunction(getattr(pipetrace, key))]
    assert 0 < len(functions) <= PUBLIC_FUNCTIONS, functions


def test_every_public_name_is_documented():
    bare = [key for key in pipetrace.__all__ if not inspect.getdoc(getattr(pipetrace, key))]
    assert [key for key in bare if not key.startswith("__")] == []


def test_a_module_docstring_is_one_sentence():
    wrong = []
    for path in files(".py"):
        if path.parent.name == "scripts":
            continue
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if not text.endswith(".") or "\n\n" in text or re.search(r"[.!?]\s+[A-Z]", text):
            wrong.append(name(path))
    assert wrong == []


def test_file_names_say_what_is_inside():
    assert [name(path) for path in files(".py", ".js") if path.stem in NAMES_THAT_SAY_NOTHING] == []


def test_a_type_is_ignored_only_for_a_reason():
    found = [
        f"{name(path)}:{number}"
        for path in files(".py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if IGNORED_TYPE.search(line) and path != Path(__file__)
    ]
    assert found == [], "write `# type: ignore[code]  # the reason`"


@pytest.mark.parametrize("pattern", [UNFINISHED, BANNER], ids=["unfinished", "banner"])
def test_comments_are_neither_notes_to_self_nor_banners(pattern: re.Pattern[str]):
    sources = [*files(".py", ".js", ".css", ".toml"), ROOT / "Makefile"]
    found = [name(path) for path in sources if pattern.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_optional_packages_are_imported_in_their_own_place_only():
    known = CORE | set(sys.stdlib_module_names)
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        inside = path.relative_to(PACKAGE).as_posix()
        for package, line in imported(path):
            if package not in known and not inside.startswith(OPTIONAL.get(package, ())):
                wrong.append(f"{inside}:{line} imports {package}")
    assert wrong == []


def test_examples_and_traced_scripts_do_not_know_pipetrace():
    scripts = [*(PACKAGE / "examples").rglob("*.py"), *(ROOT / "tests" / "scripts").glob("*.py")]
    assert len(scripts) > 20
    assert [path.name for path in scripts for package, _ in imported(path)
            if package == "pipetrace"] == []  # fmt: skip


def test_importing_pipetrace_leaves_torch_alone():
    heavy = "{'torch', 'numpy', 'polars', 'sklearn', 'IPython', 'matplotlib'}"
    assert python(f"import pipetrace, sys; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_readers_of_a_run_leave_torch_alone():
    modules = sorted(
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).with_suffix("").parts[0] in READERS
    )
    assert "pipetrace.views.terminal" in modules
    heavy = "{'torch', 'numpy', 'polars', 'sklearn', 'IPython', 'matplotlib'}"
    program = f"import sys, {', '.join(modules)}; print(sorted({heavy} & set(sys.modules)))"
    assert python(program) == "[]"


def test_a_page_is_told_without_the_lessons():
    """Hundreds of templates: who shows a run does not wait for them."""
    program = "import sys, pipetrace.story.page, pipetrace.views.terminal; print(sorted(name for "
    program += (
        "name in sys.modules if name.startswith('pipetrace.lessons.') and name.count('.') > 2))"
    )
    assert python(program) == "[]"


def test_every_command_and_option_has_help():
    bare = [
        f"{words} {parameter.name}"
        for words, command in commands()
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    bare += [words for words, command in commands() if not command.help]
    assert bare == []


def test_every_command_and_option_is_documented():
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in documents)
    unknown = [words for words, _ in commands() if words not in text]
    for words, command in commands():
        for parameter in command.params:
            longest = max(parameter.opts, key=len)
            if isinstance(parameter, click.Option) and longest not in text:
                unknown.append(f"{words} {longest}")
    assert unknown == []


def test_no_file_names_a_package_registry():
    texts = files(".py", ".js", ".css", ".toml", ".txt", ".md", "")
    found = [
        name(path)
        for path in texts
        if path != Path(__file__) and ADDRESS.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_lock_pins_every_dependency_for_every_platform():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert {key for key in pinned if key.startswith(("nvidia", "cuda", "triton"))} == set()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = set(re.findall(r'"([a-z][\w-]*)(?:>=[\d.]+)?"', _dependencies(project)))
    assert {"torch", "pytest", "polars"} <= wanted
    assert wanted - pinned == set()


def _dependencies(project: str) -> str:
    start, end = project.index("\ndependencies = "), project.index("\n[project.scripts]")
    own = re.compile(r'\{ include-group = "[\w-]+" \}|"pipetrace(?=\[)')
    return own.sub("", project[start:end])

"""A lesson as text: its modes are headings, and what a browser asks is listed."""

from __future__ import annotations

import io
import re

import msgspec

from pipetrace import blocks
from pipetrace.blocks import Page
from pipetrace.views import demo, demo_lesson, lesson, markdown, terminal


def printed(page: Page, width: int = 80) -> str:
    file = io.StringIO()
    terminal.show(page, file, width)
    return file.getvalue()


def test_a_mode_is_a_heading_over_its_sections():
    page = demo.lesson()
    heads = re.findall(r"^(?:\d+\. (.*)\n═|━━ (.*?) ━)", printed(page), re.MULTILINE)
    wanted = [("", "Notice")]
    for mode in page.modes:
        wanted.append((mode.label, ""))
        wanted += [("", each.title) for each in page.sections if each.mode == mode.id]
    assert heads == wanted
    written = re.findall(r"^(#{1,2}) (?:\d+\\\. )?(.*)$", markdown.render(page), re.MULTILINE)
    lines = [(mark, text.replace("\\", "")) for mark, text in written]
    found = [(text, "") if mark == "#" else ("", text) for mark, text in lines]
    assert found == [(page.title, ""), *wanted, ("", "Answers")]


def test_a_section_of_an_unknown_mode_is_not_lost():
    section = blocks.Section(id="s", title="Somewhere", blocks=(), mode="nowhere")
    page = Page(title="t", subtitle="", sections=(section,), modes=demo_lesson.MODES)
    assert "Somewhere" in printed(page)
    assert "## Somewhere" in markdown.render(page)


def test_a_test_lists_its_first_form_and_keeps_its_key_to_the_end():
    exam = demo_lesson.exam()
    section = blocks.Section(id="s", title="S", blocks=(exam,))
    page = Page(title="t", subtitle="", sections=(section,))
    first = [exam.questions[at] for at in exam.forms[0]]
    assert lesson.asked(exam) == tuple(first)
    for text in (printed(page, 120), markdown.render(page).partition("## Answers")[0]):
        assert "Strong: 8 right, 2 of them" in text
        assert "As computed" not in text
        assert "Dropout(0.25)" not in text
    assert "`pipetrace quiz` asks these" in printed(page)
    key = markdown.render(page).partition("## Answers")[2]
    assert len(re.findall(r"^\*\*\d+\.\*\* [A-D]$", key, re.MULTILINE)) == 10


def test_cards_steps_and_attempts_are_told():
    parts = (demo_lesson.cards(), demo_lesson.steps(), demo_lesson.experiment())
    section = blocks.Section(id="s", title="S", blocks=parts)
    page = Page(title="t", subtitle="", sections=(section,))
    for text in (printed(page, 120), markdown.render(page)):
        for words in ("In which mode is a fresh layer?", "In train mode.", "It gives", "2.0",
                      "Run the check", "model.eval()", "has a spread of 0.149."):  # fmt: skip
            assert words in text, words
    assert text.index("Run the check") < text.index("Repair it")
    assert len(lesson.attempts(demo_lesson.experiment()).rows) == 9


def test_an_attempt_without_words_has_a_row():
    knob = blocks.Knob(id="p", label="p", values=("0.5",))
    tried = blocks.Attempt(choices=(0,), blocks=())
    experiment = blocks.Experiment(title="t", target="", knobs=(knob,), attempts=(tried,))
    assert lesson.attempts(experiment).rows == (("0.5", "", ""),)


def test_an_attempt_that_does_not_fit_its_knobs_becomes_red():
    tried = blocks.Attempt(choices=(0, 1), blocks=())
    broken = msgspec.structs.replace(demo_lesson.experiment(), attempts=(tried, tried), knobs=())
    section = blocks.Section(id="s", title="S", blocks=(broken, blocks.Text(text="after")))
    page = Page(title="t", subtitle="", sections=(section,))
    assert "Experiment could not be drawn" in printed(page)
    assert "Experiment could not be written" in markdown.render(page)
    assert "after" in printed(page)

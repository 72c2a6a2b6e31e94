"""Moodle XML is read again with lxml, and has what Moodle's importer asks for."""

from __future__ import annotations

from lxml import etree

from pipetrace.blocks import Question
from pipetrace.views.questions import moodle, texts

ORDER = [
    "name", "questiontext", "generalfeedback", "defaultgrade", "penalty", "hidden", "idnumber",
    "single", "shuffleanswers", "answernumbering", "correctfeedback", "partiallycorrectfeedback",
    "incorrectfeedback",
]  # fmt: skip


def read(written: bytes) -> tuple[etree._Element, list[etree._Element]]:
    """Return the category and the questions, after what every file must keep."""
    assert written.startswith(b"<?xml")
    root = etree.fromstring(written, etree.XMLParser(huge_tree=True))
    assert root.tag == "quiz"
    category, *entries = root
    assert category.get("type") == "category"
    for entry in entries:
        names = [child.tag for child in entry]
        assert entry.get("type") == "multichoice"
        assert names[: len(ORDER)] == ORDER
        assert set(names[len(ORDER) :]) <= {"answer", "hint", "tags"}
        assert (entry.findtext("single"), entry.findtext("shuffleanswers")) == ("true", "false")
        fractions = [answer.get("fraction") for answer in entry.iter("answer")]
        assert sorted(fractions) == ["0"] * (len(fractions) - 1) + ["100"]
        for element in entry.iter("questiontext", "generalfeedback", "answer", "feedback", "hint"):
            assert element.get("format") == "html"
            parsed(element)
    return category, entries


def parsed(element: etree._Element) -> etree._Element:
    """Parse the HTML inside a `text`: it must be whole, without any element but ours."""
    inside = etree.fromstring(
        f"<div>{element.findtext('text') or ''}</div>", etree.XMLParser(huge_tree=True)
    )
    assert {each.tag for each in inside.iter()} <= {
        "div",
        "p",
        "br",
        "code",
        "pre",
        "ol",
        "ul",
        "li",
    }
    assert all(not each.attrib for each in inside.iter())
    return inside


def shown(element: etree._Element) -> str:
    inside = parsed(element)
    for line in inside.iter("br"):
        line.text = "\n"
    return "".join(inside.itertext())


def test_real_questions(real: list[Question]) -> None:
    category, entries = read(moodle.render(real, "A/B"))
    assert category.findtext("category/text") == "$course$/top/A//B"
    assert len(entries) == len(real)
    assert len({entry.findtext("idnumber") for entry in entries}) == len(real)
    for entry, question in zip(entries, real, strict=True):
        assert entry.findtext("idnumber") == texts.key(question)
        assert entry.findtext("name/text") == f"{texts.key(question)} {question.subject}"
        stem = shown(entry.find("questiontext"))
        assert question.text.replace("`", "") + question.code.rstrip("\n") == stem
        for answer, option in zip(entry.iter("answer"), question.options, strict=True):
            assert (answer.get("fraction") == "100") == option.correct
            assert shown(answer) == option.text.replace("`", "")
            told, line = shown(answer.find("feedback")), option.executed.splitlines()[0]
            assert option.feedback.split("`")[0].strip()[:40] in told
            assert (line in told) == (line in option.feedback)
        assert shown(entry.find("hint")) == question.hint.replace("`", "")
        assert [tag.text for tag in entry.iterfind("tags/tag/text")] == [
            "pipetrace",
            question.level,
        ]
        general = shown(entry.find("generalfeedback"))
        assert all(step.replace("`", "") in general for step in question.steps)


def test_hostile_texts(hostile: list[Question], words: str) -> None:
    _, entries = read(moodle.render(hostile, words))
    assert len(entries) == len(hostile)
    for entry in entries:
        expected = "".join(each for each, _ in texts.text.spans(texts.visible(words)))
        assert shown(entry.find("answer")) == expected
        assert len(entry.findtext("name/text")) <= 120
        assert len(entry.findtext("idnumber")) <= 100

"""Questions in the XML that Moodle's question bank imports and exports."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from pipetrace.blocks import Question
from pipetrace.views import text
from pipetrace.views.questions import texts

_PENALTY = "0.3333333"
"""What a second try costs where a quiz allows one: Moodle's own default."""


def render(questions: Sequence[Question], title: str) -> bytes:
    """Write questions as Moodle XML, in a category of their own.

    Options keep their order. Level is a tag; template and seed are the question's ID number.

    Args:
        questions: The questions.
        title: The name of the category.
    """
    quiz = ElementTree.Element("quiz")
    category = ElementTree.SubElement(quiz, "question", type="category")
    place = text.line(texts.visible(title)).replace("/", "//")
    _text(category, "category", f"$course$/top/{place}")
    for question in questions:
        _question(quiz, question)
    ElementTree.indent(quiz)
    written: bytes = ElementTree.tostring(quiz, encoding="UTF-8", xml_declaration=True)
    return written + b"\n"


def _question(quiz: ElementTree.Element, question: Question) -> None:
    entry = ElementTree.SubElement(quiz, "question", type="multichoice")
    _text(entry, "name", texts.name(question))
    _html(entry, "questiontext", texts.asked(question))
    _html(entry, "generalfeedback", texts.solution(question))
    settings = {
        "defaultgrade": "1",
        "penalty": _PENALTY,
        "hidden": "0",
        "idnumber": texts.key(question),
        "single": "true",
        "shuffleanswers": "false",
        "answernumbering": "ABCD",
    }
    for name, value in settings.items():
        ElementTree.SubElement(entry, name).text = value
    for name in ("correctfeedback", "partiallycorrectfeedback", "incorrectfeedback"):
        _html(entry, name, "")
    for option in question.options:
        answer = _html(entry, "answer", texts.inline(option.text))
        answer.set("fraction", "100" if option.correct else "0")
        _html(answer, "feedback", texts.feedback(option))
    if question.hint:
        _html(entry, "hint", f"<p>{texts.inline(question.hint)}</p>")
    tags = ElementTree.SubElement(entry, "tags")
    for tag in ("pipetrace", texts.tag(question.level)):
        if tag:
            _text(tags, "tag", tag)


def _text(parent: ElementTree.Element, name: str, value: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, name)
    ElementTree.SubElement(element, "text").text = value
    return element


def _html(parent: ElementTree.Element, name: str, value: str) -> ElementTree.Element:
    element = _text(parent, name, value)
    element.set("format", "html")
    return element

"""Questions as a QTI package, 2.1 or 3.0: one tree, written with the names of either version."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from pipetrace.blocks import Question
from pipetrace.views import text
from pipetrace.views.questions import texts

_ONE_DAY = (1980, 1, 1, 0, 0, 0)
"""The date of every file in a package, so that equal questions make equal bytes."""

_DIFFICULTIES = {"easy": "easy", "medium": "medium", "hard": "difficult"}
"""Our levels in the vocabulary of LOM, the metadata of learning objects."""

_HTML = {"p", "br", "code", "pre", "ol", "ul", "li", "div"}
_LOM = "http://ltsc.ieee.org/xsd/LOM"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


class _Version(NamedTuple):
    """What differs between two versions of QTI, beside the spelling of names."""

    items: str
    items_schema: str
    package: str
    package_schema: str
    schema: str
    number: str
    kind: str


_VERSIONS = {
    "2.1": _Version(
        items="http://www.imsglobal.org/xsd/imsqti_v2p1",
        items_schema="http://www.imsglobal.org/xsd/qti/qtiv2p1/imsqti_v2p1.xsd",
        package="http://www.imsglobal.org/xsd/imscp_v1p1",
        package_schema="http://www.imsglobal.org/xsd/qti/qtiv2p1/qtiv2p1_imscpv1p2_v1p0.xsd",
        schema="QTIv2.1 Package",
        number="1.0.0",
        kind="xmlv2p1",
    ),
    "3.0": _Version(
        items="http://www.imsglobal.org/xsd/imsqtiasi_v3p0",
        items_schema="https://purl.imsglobal.org/spec/qti/v3p0/schema/xsd/imsqti_asiv3p0_v1p0.xsd",
        package="http://www.imsglobal.org/xsd/qti/qtiv3p0/imscp_v1p1",
        package_schema="https://purl.imsglobal.org/spec/qti/v3p0/schema/xsd/"
        "imsqtiv3p0_imscpv1p2_v1p0.xsd",
        schema="QTI Package",
        number="3.0.0",
        kind="xmlv3p0",
    ),
}


def render(questions: Sequence[Question], title: str, version: str = "3.0") -> bytes:
    """Write questions as a zip package: a manifest, a test, and a file for each question.

    Options keep their order. The feedback of the chosen option is shown after the answer, with the
    hint where it was wrong, and then the solution. Level and subject are in the manifest.

    Args:
        questions: The questions; their keys differ.
        title: The title of the test.
        version: "3.0" or "2.1".
    """
    names, packed = _VERSIONS[version], io.BytesIO()
    heading = text.line(texts.visible(title)) or "Questions"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as package:
        _add(package, "imsmanifest.xml", _manifest(questions, names))
        _add(package, "test.xml", _spelled(_test(questions, heading, names), version))
        for question in questions:
            _add(package, _path(question), _spelled(_item(question, names), version))
    return packed.getvalue()


def _add(package: zipfile.ZipFile, path: str, root: Element) -> None:
    content = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    entry = zipfile.ZipInfo(path, _ONE_DAY)
    entry.compress_type = zipfile.ZIP_DEFLATED
    package.writestr(entry, content)


def _path(question: Question) -> str:
    return f"items/{texts.key(question)}.xml"


def _root(name: str, namespace: str, schema: str) -> Element:
    return Element(
        name,
        {
            "xmlns": namespace,
            "xmlns:xsi": _XSI,
            "xsi:schemaLocation": f"{namespace} {schema}",
        },
    )


def _item(question: Question, names: _Version) -> Element:
    item = _root("assessmentItem", names.items, names.items_schema)
    item.attrib |= {"identifier": texts.key(question), "title": texts.name(question),
                    "adaptive": "false", "timeDependent": "false"}  # fmt: skip
    _declarations(item, texts.right(question))
    body = SubElement(item, "itemBody")
    body.extend(_elements(texts.asked(question)))
    interaction = SubElement(body, "choiceInteraction", responseIdentifier="RESPONSE",
                             shuffle="false", maxChoices="1")  # fmt: skip
    for index, option in enumerate(question.options):
        choice = SubElement(interaction, "simpleChoice", identifier=text.letter(index))
        _fill(choice, texts.inline(option.text))
    _processing(item)
    for index, option in enumerate(question.options):
        words = texts.feedback(option) + ("" if option.correct else texts.hint(question))
        _modal(item, "FEEDBACK", text.letter(index), words)
    _modal(item, "SOLUTION", "solution", texts.solution(question) or "<p>No steps.</p>")
    return item


def _declarations(item: Element, right: str) -> None:
    response = SubElement(item, "responseDeclaration", identifier="RESPONSE",
                          cardinality="single", baseType="identifier")  # fmt: skip
    if right:
        SubElement(SubElement(response, "correctResponse"), "value").text = right
    score = SubElement(item, "outcomeDeclaration", identifier="SCORE", cardinality="single",
                       baseType="float", normalMaximum="1")  # fmt: skip
    SubElement(SubElement(score, "defaultValue"), "value").text = "0"
    for name in ("FEEDBACK", "SOLUTION"):
        SubElement(item, "outcomeDeclaration", identifier=name, cardinality="single",
                   baseType="identifier")  # fmt: skip


def _processing(item: Element) -> None:
    """A right choice scores 1; whatever was chosen, its feedback and the solution are shown."""
    processing = SubElement(item, "responseProcessing")
    condition = SubElement(SubElement(processing, "responseCondition"), "responseIf")
    match = SubElement(condition, "match")
    SubElement(match, "variable", identifier="RESPONSE")
    SubElement(match, "correct", identifier="RESPONSE")
    score = SubElement(condition, "setOutcomeValue", identifier="SCORE")
    SubElement(score, "baseValue", baseType="float").text = "1"
    feedback = SubElement(processing, "setOutcomeValue", identifier="FEEDBACK")
    SubElement(feedback, "variable", identifier="RESPONSE")
    solution = SubElement(processing, "setOutcomeValue", identifier="SOLUTION")
    SubElement(solution, "baseValue", baseType="identifier").text = "solution"


def _modal(item: Element, outcome: str, identifier: str, words: str) -> None:
    modal = SubElement(item, "modalFeedback", outcomeIdentifier=outcome, showHide="show",
                       identifier=identifier)  # fmt: skip
    modal.extend(_elements(words))


def _test(questions: Sequence[Question], title: str, names: _Version) -> Element:
    test = _root("assessmentTest", names.items, names.items_schema)
    test.attrib |= {"identifier": "test", "title": title}
    score = SubElement(test, "outcomeDeclaration", identifier="SCORE", cardinality="single",
                       baseType="float")  # fmt: skip
    SubElement(SubElement(score, "defaultValue"), "value").text = "0"
    part = SubElement(test, "testPart", identifier="part", navigationMode="nonlinear",
                      submissionMode="individual")  # fmt: skip
    section = SubElement(part, "assessmentSection", identifier="section", title=title,
                         visible="true")  # fmt: skip
    for question in questions:
        reference = SubElement(section, "assessmentItemRef", identifier=texts.key(question),
                               href=_path(question))  # fmt: skip
        if texts.tag(question.level):
            reference.set("category", texts.tag(question.level))
    total = SubElement(SubElement(test, "outcomeProcessing"), "setOutcomeValue", identifier="SCORE")
    SubElement(SubElement(total, "sum"), "testVariables", variableIdentifier="SCORE")
    return test


def _manifest(questions: Sequence[Question], names: _Version) -> Element:
    manifest = _root("manifest", names.package, names.package_schema)
    manifest.set("identifier", "package")
    metadata = SubElement(manifest, "metadata")
    SubElement(metadata, "schema").text = names.schema
    SubElement(metadata, "schemaversion").text = names.number
    SubElement(manifest, "organizations")
    resources = SubElement(manifest, "resources")
    test = SubElement(resources, "resource", identifier="resource-test",
                      type=f"imsqti_test_{names.kind}", href="test.xml")  # fmt: skip
    SubElement(test, "file", href="test.xml")
    for question in questions:
        place, identifier = _path(question), f"resource-{texts.key(question)}"
        SubElement(test, "dependency", identifierref=identifier)
        resource = SubElement(resources, "resource", identifier=identifier,
                              type=f"imsqti_item_{names.kind}", href=place)  # fmt: skip
        _describe(SubElement(resource, "metadata"), question)
        SubElement(resource, "file", href=place)
    return manifest


def _describe(metadata: Element, question: Question) -> None:
    """State subject and level as learning object metadata."""
    about = SubElement(metadata, "lom", xmlns=_LOM)
    general = SubElement(about, "general")
    for name, value in (("title", texts.name(question)), ("keyword", texts.tag(question.level))):
        SubElement(SubElement(general, name), "string", language="en").text = value
    if question.level in _DIFFICULTIES:
        difficulty = SubElement(SubElement(about, "educational"), "difficulty")
        SubElement(difficulty, "source").text = "LOMv1.0"
        SubElement(difficulty, "value").text = _DIFFICULTIES[question.level]


def _elements(words: str) -> list[Element]:
    """Make elements of HTML as `texts` writes it, every character of which stands in one."""
    return list(ElementTree.fromstring(f"<div>{words}</div>"))


def _fill(parent: Element, words: str) -> None:
    filled = ElementTree.fromstring(f"<div>{words}</div>")
    parent.text = filled.text
    parent.extend(list(filled))


def _spelled(root: Element, version: str) -> Element:
    """Rename a tree of 2.1 for 3.0, whose names are hyphenated and begin with `qti-`."""
    if version == "3.0":
        for modal in root.iter("modalFeedback"):
            content = Element("contentBody")
            content.extend(list(modal))
            modal[:] = [content]
        for element in root.iter():
            if element.tag not in _HTML:
                element.tag = f"qti-{_hyphenated(element.tag)}"
                element.attrib.update(dict(_hyphenated_names(element)))
    return root


def _hyphenated_names(element: Element) -> Iterator[tuple[str, str]]:
    """Take attributes from an element, and yield them under the names of 3.0."""
    for name in list(element.attrib):
        value = element.attrib.pop(name)
        yield (name if ":" in name else _hyphenated(name)), value


def _hyphenated(name: str) -> str:
    """Spell a name of 2.1 as 3.0 does.

    >>> _hyphenated("responseDeclaration")
    'response-declaration'
    """
    return re.sub(r"(?<=[a-z])[A-Z]", lambda letter: f"-{letter[0].lower()}", name)

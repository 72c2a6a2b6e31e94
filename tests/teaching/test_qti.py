"""A QTI package is whole, and every file fits the part of QTI 2.1 or 3.0 that it uses."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
from lxml import etree

from pipetrace.blocks import Question
from pipetrace.views.questions import qti, texts

RNG = "http://relaxng.org/ns/structure/1.0"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
NAMESPACES = {
    "2.1": ("http://www.imsglobal.org/xsd/imsqti_v2p1", "http://www.imsglobal.org/xsd/imscp_v1p1"),
    "3.0": (
        "http://www.imsglobal.org/xsd/imsqtiasi_v3p0",
        "http://www.imsglobal.org/xsd/qti/qtiv3p0/imscp_v1p1",
    ),
}
KINDS = {"2.1": "xmlv2p1", "3.0": "xmlv3p0"}

INLINE = "(text|br|code)*"
MODEL = {
    "assessmentItem": "responseDeclaration,outcomeDeclaration+,itemBody,responseProcessing,"
    "modalFeedback*",
    "responseDeclaration": "correctResponse?",
    "correctResponse": "value+",
    "outcomeDeclaration": "defaultValue?",
    "defaultValue": "value+",
    "value": "text",
    "itemBody": "(p|pre)*,choiceInteraction",
    "choiceInteraction": "simpleChoice+",
    "simpleChoice": INLINE,
    "responseProcessing": "(responseCondition|setOutcomeValue)*",
    "responseCondition": "responseIf",
    "responseIf": "match,setOutcomeValue*",
    "match": "variable,correct",
    "variable": "",
    "correct": "",
    "setOutcomeValue": "(baseValue|variable|sum)",
    "baseValue": "text",
    "sum": "testVariables",
    "testVariables": "",
    "assessmentTest": "outcomeDeclaration*,testPart,outcomeProcessing",
    "testPart": "assessmentSection+",
    "assessmentSection": "assessmentItemRef*",
    "assessmentItemRef": "",
    "outcomeProcessing": "setOutcomeValue*",
}
HTML = {
    "p": INLINE,
    "code": "(text|br)*",
    "br": "",
    "pre": "(text|code)*",
    "ol": "li+",
    "ul": "li+",
    "li": "(text|br|code)*",
}
FLOW = "(p|pre|ol|ul)*"
ATTRIBUTES = {
    "assessmentItem": {"identifier": "ID", "title": ".*", "adaptive": "false",
                       "timeDependent": "false"},
    "responseDeclaration": {"identifier": "RESPONSE", "cardinality": "single",
                            "baseType": "identifier"},
    "outcomeDeclaration": {"identifier": "ID", "cardinality": "single",
                           "baseType": "float|identifier", "normalMaximum?": "1"},
    "choiceInteraction": {"responseIdentifier": "RESPONSE", "shuffle": "false", "maxChoices": "1"},
    "simpleChoice": {"identifier": "ID"},
    "variable": {"identifier": "ID"},
    "correct": {"identifier": "ID"},
    "setOutcomeValue": {"identifier": "ID"},
    "baseValue": {"baseType": "float|identifier"},
    "testVariables": {"variableIdentifier": "ID"},
    "modalFeedback": {"outcomeIdentifier": "FEEDBACK|SOLUTION", "identifier": "ID",
                      "showHide": "show"},
    "assessmentTest": {"identifier": "ID", "title": ".*"},
    "testPart": {"identifier": "ID", "navigationMode": "linear|nonlinear",
                 "submissionMode": "individual|simultaneous"},
    "assessmentSection": {"identifier": "ID", "title": ".*", "visible": "true"},
    "assessmentItemRef": {"identifier": "ID", "href": ".+", "category?": "ID"},
}  # fmt: skip
IDENTIFIER = "[A-Za-z_][A-Za-z0-9_.-]*"


def spelled(name: str, version: str) -> str:
    if version == "2.1" or name in HTML:
        return name
    return "qti-" + re.sub(r"([A-Z])", r"-\1", name).lower()


def schema(version: str) -> etree.RelaxNG:
    """Make a RELAX NG grammar of the content models above, in a version's own names."""
    models = MODEL | HTML
    models |= {"contentBody": FLOW, "modalFeedback": "contentBody"} if version == "3.0" else {
        "modalFeedback": FLOW
    }  # fmt: skip
    defined = "".join(define(name, model, version) for name, model in models.items())
    starts = '<choice><ref name="assessmentItem"/><ref name="assessmentTest"/></choice>'
    grammar = (
        f'<grammar xmlns="{RNG}" ns="{NAMESPACES[version][0]}" '
        'datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">'
        f"<start>{starts}</start>{defined}</grammar>"
    )
    return etree.RelaxNG(etree.fromstring(grammar))


def define(name: str, model: str, version: str) -> str:
    attributes = "".join(
        attribute(key, pattern, version) for key, pattern in ATTRIBUTES.get(name, {}).items()
    )
    if name in ("assessmentItem", "assessmentTest"):
        attributes += f'<attribute name="schemaLocation" ns="{XSI}"><text/></attribute>'
    inside = content(model) if model else "<empty/>"
    return (
        f'<define name="{name}"><element name="{spelled(name, version)}">{attributes}{inside}'
        "</element></define>"
    )


def attribute(key: str, pattern: str, version: str) -> str:
    name = key.rstrip("?")
    if version == "3.0":
        name = re.sub(r"([A-Z])", r"-\1", name).lower()
    pattern = IDENTIFIER if pattern == "ID" else pattern
    data = f'<data type="string"><param name="pattern">{pattern}</param></data>'
    written = f'<attribute name="{name}" ns="">{data}</attribute>'
    return f"<optional>{written}</optional>" if key.endswith("?") else written


def content(model: str) -> str:
    """Turn `a,b?,(c|d)*` into RELAX NG."""
    if "," in model and not model.startswith("("):
        first, _, rest = model.partition(",")
        return content(first) + content(rest)
    if model.startswith("(") and "," in model:
        end = model.index(")") + 2
        return content(model[:end]) + content(model[end + 1 :])
    wrap = {"*": "zeroOrMore", "+": "oneOrMore", "?": "optional"}.get(model[-1])
    if wrap:
        return f"<{wrap}>{content(model[:-1])}</{wrap}>"
    if model.startswith("("):
        return f"<choice>{''.join(map(content, model[1:-1].split('|')))}</choice>"
    return "<text/>" if model == "text" else f'<ref name="{model}"/>'


class Package:
    """What an importer finds in a package: the manifest leads to every other file."""

    def __init__(self, written: bytes, version: str) -> None:
        items, packages = NAMESPACES[version]
        with zipfile.ZipFile(io.BytesIO(written)) as package:
            assert package.testzip() is None
            names = package.namelist()
            trees = {
                name: etree.fromstring(package.read(name), etree.XMLParser(huge_tree=True))
                for name in names
            }
        assert len(set(names)) == len(names)
        manifest = trees.pop("imsmanifest.xml")
        at = {"c": packages, "q": items, "m": "http://ltsc.ieee.org/xsd/LOM"}
        assert manifest.tag == f"{{{packages}}}manifest"
        children = [etree.QName(child).localname for child in manifest]
        assert children == ["metadata", "organizations", "resources"]
        resources = manifest.findall("c:resources/c:resource", at)
        assert {each.get("href") for each in resources} == set(trees)
        files = [each.get("href") for each in manifest.iter(f"{{{packages}}}file")]
        assert sorted(files) == sorted(trees)
        identifiers = [each.get("identifier") for each in resources]
        assert all(re.fullmatch(IDENTIFIER, each) for each in identifiers)
        assert len(set(identifiers)) == len(identifiers)
        needed = [each.get("identifierref") for each in manifest.iter(f"{{{packages}}}dependency")]
        assert identifiers == ["resource-test", *needed]
        kinds = [each.get("type") for each in resources]
        kind = KINDS[version]
        assert kinds == [f"imsqti_test_{kind}", *[f"imsqti_item_{kind}"] * (len(kinds) - 1)]
        checked = schema(version)
        for tree in trees.values():
            checked.assertValid(tree)
        self.levels = [each.text for each in manifest.iterfind(".//m:keyword/m:string", at)]
        self.test = trees["test.xml"]
        reference = f"{{{items}}}{spelled('assessmentItemRef', version)}"
        self.items = [trees[each.get("href")] for each in self.test.iter(reference)]
        assert len(self.items) == len(trees) - 1
        for each, tree in zip(self.test.iter(reference), self.items, strict=True):
            assert each.get("identifier") == tree.get("identifier")


def found(item: etree._Element, name: str, version: str) -> list[etree._Element]:
    return list(item.iter(f"{{{NAMESPACES[version][0]}}}{spelled(name, version)}"))


def shown(element: etree._Element) -> str:
    for line in element.iter("{*}br"):
        line.text = "\n"
    return "".join(element.itertext())


@pytest.mark.parametrize("version", ["2.1", "3.0"])
def test_real_questions(real: list[Question], version: str) -> None:
    written = qti.render(real, "Seed", version)
    assert written == qti.render(real, "Seed", version)
    package = Package(written, version)
    assert package.levels == [question.level for question in real]
    for item, question in zip(package.items, real, strict=True):
        assert item.get("identifier") == texts.key(question)
        choices = found(item, "simpleChoice", version)
        for choice, option in zip(choices, question.options, strict=True):
            assert shown(choice) == option.text.replace("`", "")
        (right,) = found(item, "correctResponse", version)
        assert shown(right) == texts.right(question)
        body = shown(found(item, "itemBody", version)[0])
        assert body.startswith(question.text.replace("`", "") + question.code.rstrip("\n"))
        feedback = {
            each.get("identifier"): shown(each) for each in found(item, "modalFeedback", version)
        }
        letters = [choice.get("identifier") for choice in choices]
        assert list(feedback) == [*letters, "solution"]
        for letter, option in zip(letters, question.options, strict=True):
            line = option.executed.splitlines()[0]
            assert re.findall(r"[A-Za-z]{4,}", option.feedback)[0] in feedback[letter]
            assert (line in feedback[letter]) == (line in option.feedback)
            assert (question.hint.replace("`", "") in feedback[letter]) != option.correct
        assert all(step.replace("`", "") in feedback["solution"] for step in question.steps)


@pytest.mark.parametrize("version", ["2.1", "3.0"])
def test_hostile_texts(hostile: list[Question], words: str, version: str) -> None:
    package = Package(qti.render(hostile, words, version), version)
    assert len(package.items) == len(hostile)
    for item in package.items:
        said = "".join(piece for piece, _ in texts.text.spans(texts.visible(words)))
        assert shown(found(item, "simpleChoice", version)[0]) == said


@pytest.mark.parametrize(("chosen", "score"), [("right", 1.0), ("wrong", 0.0), (None, 0.0)])
def test_processing_a_response(real: list[Question], chosen: str | None, score: float) -> None:
    """Carry out the rules as the specification words them."""
    question = real[0]
    (item,) = Package(qti.render([question], "Seed", "2.1"), "2.1").items
    right = texts.right(question)
    wrong = next(letter for letter in "ABCD" if letter != right)
    response = {"right": right, "wrong": wrong, None: None}[chosen]
    outcome: dict[str, object] = {"SCORE": 0.0, "FEEDBACK": None, "SOLUTION": None}
    (rules,) = found(item, "responseProcessing", "2.1")
    for rule in rules:
        if etree.QName(rule).localname == "responseCondition":
            if response != right:
                continue
            rule = found(rule, "setOutcomeValue", "2.1")[0]
        (value,) = rule
        is_variable = etree.QName(value).localname == "variable"
        outcome[rule.get("identifier")] = response if is_variable else value.text
    assert float(str(outcome["SCORE"])) == score
    assert outcome["FEEDBACK"] == response
    assert outcome["SOLUTION"] == "solution"


def test_the_grammar_refuses_what_is_out_of_place(real: list[Question]) -> None:
    (item,) = Package(qti.render(real[:1], "Seed", "3.0"), "3.0").items
    grammar = schema("3.0")
    assert grammar.validate(item)
    item.append(item[0])
    assert not grammar.validate(item)
    assert not schema("2.1").validate(item)


def test_a_converter_makes_of_2_1_what_we_write_as_3_0(real: list[Question]) -> None:
    reason = "there is no converter to compare with: pip install citolab-qti-convert"
    convert = pytest.importorskip("qti_convert.upgrade", reason=reason).upgrade_qti2_to_qti3
    old, new = (Package(qti.render(real, "Seed", version), version) for version in ("2.1", "3.0"))
    for first, second in zip((old.test, *old.items), (new.test, *new.items), strict=True):
        converted = convert(etree.tostring(first))
        assert plain(etree.fromstring(converted.encode())) == plain(second)


def plain(element: etree._Element) -> object:
    """Return what an element holds, without how it is written."""
    attributes = {key: value for key, value in element.attrib.items() if not key.startswith("{")}
    inside = [plain(child) for child in element if isinstance(child.tag, str)]
    text, tail = (element.text or "").strip(), (element.tail or "").strip()
    return etree.QName(element).localname, attributes, text, tail, inside

"""GIFT is read again by a grammar of Moodle's documentation, and nothing of a text is obeyed."""

from __future__ import annotations

import html
import re
from typing import Any

import pyparsing as pp
import pytest

from pipetrace.blocks import Question
from pipetrace.views.questions import gift, texts

_TEXT = pp.Regex(r"(?:\\[\\~=#{}:n]|[^\\~=#{}:\n])*")
_END = pp.Suppress("\n")


def grammar() -> pp.ParserElement:
    """Return the part of GIFT that multiple choice takes: a stray special character is an error."""
    comment = pp.Suppress("// ") + pp.Regex(r"[^\n]*") + _END
    name = pp.Suppress("::") + _TEXT("name") + pp.Suppress("::")
    option = pp.Group(
        pp.one_of("= ~")("sign")
        + pp.Suppress(pp.Regex(r"(?![%\[])"))
        + _TEXT("text")
        + pp.Suppress("#")
        + _TEXT("feedback")
        + _END
    )
    general = pp.Suppress("####") + _TEXT("general") + _END
    question = pp.Group(
        comment("comment") + name + pp.Suppress("[html]") + _TEXT("stem") + pp.Suppress("{") + _END
        + pp.Group(pp.OneOrMore(option))("options") + pp.Optional(general) + pp.Suppress("}")
        + _END
    )  # fmt: skip
    head = pp.Suppress("// ") + pp.Regex(r"[^\n]*") + _END
    whole = head + pp.ZeroOrMore(_END + question) + pp.StringEnd()
    return whole.leave_whitespace()


def read(written: str) -> list[Any]:
    return list(grammar().parse_string(written, parse_all=True))[1:]


def plain(value: str) -> str:
    """Undo escapes and tags, as Moodle and a browser do."""
    value = re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], value)
    return html.unescape(re.sub(r"</?(p|code|pre|ol|ul|li)>", "", value.replace("<br/>", "\n")))


def said(value: str) -> str:
    """Return what a reader should see of a text."""
    return re.sub(r"`([^`\n]+)`", r"\1", texts.visible(value))


def test_real_questions(real: list[Question]) -> None:
    found = read(gift.render(real, "The seed"))
    assert len(found) == len(real)
    for entry, question in zip(found, real, strict=True):
        assert (
            entry["comment"][0]
            == f"[id:{texts.key(question)}] [tag:pipetrace] [tag:{question.level}]"
        )
        assert plain(entry["name"]) == texts.name(question)
        assert plain(entry["stem"]).strip() == said(question.text) + question.code.rstrip("\n")
        assert [option["sign"] == "=" for option in entry["options"]] == [
            option.correct for option in question.options
        ]
        for got, option in zip(entry["options"], question.options, strict=True):
            assert plain(got["text"]).strip() == said(option.text)
            assert plain(got["feedback"]) == said(option.feedback).replace(
                f"\n{option.executed}\n", option.executed
            )
        for step in (*question.steps, *question.mistakes, question.answer, question.hint):
            assert said(step) in plain(entry["general"])


def test_hostile_texts(hostile: list[Question], words: str) -> None:
    found = read(gift.render(hostile, words))
    assert len(found) == len(hostile)
    for entry in found:
        assert plain(entry["stem"]) == f"{said(words)}{texts.visible(words)}".rstrip("\n") + " "
        assert [option["sign"] for option in entry["options"]] == ["~", "=", "~"]
        assert plain(entry["options"][0]["text"]) == said(words)
        assert re.match(r"\[id:[A-Za-z0-9-]+\] \[tag:pipetrace\]( \[tag:[a-z0-9-]+\])?$",
                        entry["comment"][0])  # fmt: skip


def test_no_line_is_empty_inside_a_question_and_none_begins_a_comment(
    hostile: list[Question],
) -> None:
    parts = gift.render(hostile, "t").rstrip("\n").split("\n\n")
    assert len(parts) == 1 + len(hostile)
    for part in parts[1:]:
        assert [line.startswith("//") for line in part.splitlines()].count(True) == 1


def test_the_grammar_refuses_what_gift_would_obey() -> None:
    whole = "// t\n\n// [id:D1-0]\n::D1::[html]why {\n=a#b\n}\n"
    assert len(read(whole)) == 1
    with pytest.raises(pp.ParseException):
        read(whole.replace("=a", "=%50%a"))
    for wrong in ("why =", "why ~", "why #", "why {", "why }", "why:"):
        with pytest.raises(pp.ParseException):
            read(whole.replace("why", wrong))

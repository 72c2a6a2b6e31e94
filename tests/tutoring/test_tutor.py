"""A lesson is true: whatever it shows was executed, and comes to what it says."""

from __future__ import annotations

import io
import re
from collections import Counter

import pytest
from rich.console import Console

from pipetrace.blocks import (
    Attempt,
    Cards,
    Crash,
    Exam,
    Experiment,
    Page,
    Question,
    Section,
    Steps,
    Tabs,
    Text,
)
from pipetrace.errors import PipetraceError
from pipetrace.learned import Answer, Event, Reached, Review, Sitting
from pipetrace.lessons.content import MODES, NAME
from pipetrace.lessons.registry import templates
from pipetrace.probes.execute import execute
from pipetrace.tutoring import buggy
from pipetrace.tutoring.lectern import Lectern
from pipetrace.tutoring.tutor import Tutor
from pipetrace.views import data, html, markdown


@pytest.fixture(scope="session")
def page(tutor: Tutor) -> Page:
    return tutor.page()


def of(page: Page, kind: type) -> list:
    return [each for section in page.sections for each in section.blocks if isinstance(each, kind)]


def section(page: Page, name: str) -> Section:
    return next(each for each in page.sections if each.id == name)


def test_ten_modes_each_with_something_to_say(page: Page):
    assert [mode.id for mode in page.modes] == list(MODES)
    assert len(page.modes) == 10
    assert {each.mode for each in page.sections} == set(MODES)
    assert len({each.id for each in page.sections}) == len(page.sections)
    assert of(page, Crash) == []
    assert page.learner


def test_no_fact_is_left_open(tutor: Tutor, page: Page):
    assert tutor.taught.pending == ()
    assert NAME.search(data.render(page)) is None
    for card in of(page, Cards)[0].cards:
        assert card.front
        assert card.back
    assert len(of(page, Cards)[0].cards) == len(tutor.taught.lesson.cards)


def test_every_paragraph_of_the_text_is_shown_on_the_lessons_own_run(tutor: Tutor):
    """What stands under no condition names only facts that the example has."""
    facts = tutor.taught.facts()
    for passage in tutor.taught.lesson.passages:
        for part in passage.parts:
            text = getattr(part, "text", "")
            if text and getattr(part, "condition", None) is None:
                missing = [name for name in NAME.findall(text) if name not in facts]
                assert missing == [], f"line {part.line}"


def test_every_demonstration_comes_to_the_same_again(tutor: Tutor):
    taught = tutor.taught
    for demo in taught.lesson.demos():
        assert execute(demo.code) == taught.demos[demo.id]
    for card in taught.lesson.cards:
        if card.code:
            assert execute(card.code) == taught.cards[card.id]


def test_every_question_can_be_asked_and_comes_true_again(tutor: Tutor):
    asked = tutor.taught.bank
    own = {each.id for each in templates() if each.lesson == tutor.taught.lesson.id}
    assert {each.id for each in asked} == own
    for question in asked:
        for choice in question.choices:
            outcome = execute(choice.executed)
            again = f"{outcome.error}: {outcome.message}" if outcome.error else outcome.value
            assert again == choice.outcome, question.id


def test_practice_and_challenges(page: Page):
    practice = [each for each in section(page, "practice").blocks if isinstance(each, Question)]
    assert [each.level for each in practice] == ["easy", "easy", "medium", "medium", "hard"]
    for each in practice:
        assert each.steps
        assert each.answer
        assert each.check
        assert each.hint
        assert each.mistakes
    challenges = section(page, "challenges").blocks
    assert len(challenges) == 5
    assert len({each.id for each in (*practice, *challenges)}) == 10


def test_the_test_has_parallel_forms_without_a_question_twice(page: Page):
    (exam,) = of(page, Exam)
    shown = {each.id for each in of(page, Question)}
    assert shown
    assert exam.forms
    for form in exam.forms:
        asked = [exam.questions[place] for place in form]
        assert Counter(each.level for each in asked) == {"easy": 3, "medium": 4, "hard": 3}
        assert len({each.id for each in asked}) == 10
        assert shown.isdisjoint(each.id for each in asked)
    assert len(exam.intervals) == 11
    assert (exam.strong, exam.hard, exam.growing) == (8, 2, 6)


def test_every_bug_is_found_and_its_mended_program_is_clean(tutor: Tutor, page: Page):
    assert [bug.rule for bug in tutor.taught.bugs] == list(tutor.taught.lesson.about.checks)
    for bug in tutor.taught.bugs:
        fires = buggy.rule(bug.rule).fires
        lines, shown = fires.splitlines(), bug.code.splitlines()
        told = lines[0].strip('"')
        assert told not in bug.code  # the docstring would give the bug away
        assert len(shown) == len(lines)
        assert shown[bug.line - 1] == lines[bug.line - 1]
        assert bug.message
        assert bug.evidence
        assert bug.line > 0
        assert bug.left == 0, bug.rule
    tabs = [each for each in section(page, "checks").blocks if isinstance(each, Tabs)]
    steps = [each for tab in tabs[0].tabs for each in tab.blocks if isinstance(each, Steps)]
    assert len(steps) == len(tutor.taught.bugs)


def test_the_start_misses_the_target_and_some_settings_reach_it(tutor: Tutor, page: Page):
    (experiment,) = of(page, Experiment)
    study = tutor.taught.lesson.about.study
    assert study is not None
    assert [each.choices for each in experiment.attempts] == list(study.choices())
    start = experiment.attempts[0]
    assert start.choices == study.start()
    assert not start.reached
    share = sum(each.reached for each in experiment.attempts) / len(experiment.attempts)
    assert 0 < share <= 0.3


def test_comparisons_of_why_have_their_interval(tutor: Tutor, page: Page):
    study = tutor.taught.lesson.about.study
    assert study is not None
    assert [each.comparison for each in tutor.taught.measured] == list(study.comparisons)
    said = [each.text for each in of(page, Text) if "95 % interval" in each.text]
    assert len(said) >= 1
    for measured in tutor.taught.measured:
        low, high = measured.interval
        assert low < sum(measured.differences) / len(measured.differences) < high


def test_the_lesson_is_a_file_that_works_offline_and_a_text(page: Page):
    document = html.document(page)
    assert len(document) < 1_500_000
    text = markdown.render(page)
    assert all(re.search(f"^#+ .*{re.escape(mode.label)}", text, re.MULTILINE)
               for mode in page.modes[:2])  # fmt: skip


def test_the_page_asks_and_the_tutor_answers(tutor: Tutor):
    actions = tutor.actions
    study = tutor.taught.lesson.about.study
    assert study is not None
    blocks = actions["experiment"]({"choices": list(study.start()), "seed": 1})
    again = actions["experiment"]({"choices": list(study.start()), "seed": 1})
    assert data.plain(list(blocks)) == data.plain(list(again))
    with pytest.raises(PipetraceError, match="Choose a value"):
        actions["experiment"]({"choices": [99] * len(study.knobs)})
    with pytest.raises(PipetraceError, match="cannot be read"):
        actions["experiment"]({"choices": "all"})
    rule = tutor.taught.bugs[0].rule
    (bad, *_) = actions["again"]({"again": f"{rule}/fires"})
    (good, *_) = actions["again"]({"again": f"{rule}/mended"})
    assert (bad.tone, good.tone) == ("bad", "good")
    with pytest.raises(PipetraceError, match="no such program"):
        actions["again"]({"again": "PTR101/../../x"})


def test_a_bug_that_is_not_found_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(buggy, "findings", lambda asked, kind: [])
    with pytest.raises(PipetraceError, match="PTR101 finds nothing"):
        buggy.check("PTR101")
    with pytest.raises(PipetraceError, match="no rule 'PTR000'"):
        buggy.check("PTR000")


def kinds(tutor: Tutor) -> list[type[Event]]:
    return [type(each) for each in tutor.events]


def answers(tutor: Tutor, words: list[str]) -> str:
    """Take the lesson in the terminal with these answers, and return what was printed."""
    given = iter(words)

    def reader(prompt: str) -> str:
        said = next(given, None)
        if said is None:
            raise EOFError
        return said

    console = Console(file=io.StringIO(), width=100)
    lectern = Lectern(tutor, reader, console)
    if words[0] in MODES:
        lectern.show(next(given))
    else:
        lectern.menu()
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_every_mode_is_printed(tutor: Tutor):
    for mode in MODES:
        told = answers(tutor, [mode])
        assert len(told) > 300, mode
    menu = answers(tutor, ["1", "why", "eleven", "q"])
    assert "Type a number from 1 to 10" in menu
    assert menu.count("Review & test") == 4


def test_a_test_in_the_terminal_to_its_verdict(tutor: Tutor, page: Page):
    (exam,) = of(page, Exam)
    before = len(tutor.events)
    cards = ["q"]
    sat = [each.form for each in tutor.events if isinstance(each, Sitting)]
    form = min(range(len(exam.forms)), key=sat.count)
    keys = [
        "ABCD"[next(at for at, option in enumerate(exam.questions[place].options)
                    if option.correct)]
        for place in exam.forms[form]
    ]  # fmt: skip
    told = answers(tutor, ["review", *cards, *keys])
    assert "strong: 10 of 10 right" in told
    sat = [each.form for each in tutor.events if isinstance(each, Sitting)]
    following = min(range(len(exam.forms)), key=sat.count)
    wrong = [
        "ABCD"[next(at for at, option in enumerate(exam.questions[place].options)
                    if not option.correct)]
        for place in exam.forms[following]
    ]  # fmt: skip
    told = answers(tutor, ["review", *cards, *wrong])
    assert "not yet: 0 of 10 right, 0 of 3 hard ones." in told
    fresh = tutor.events[before:]
    verdicts = [each.verdict for each in fresh if isinstance(each, Sitting) and each.verdict]
    assert verdicts[0] == "strong"
    assert sum(isinstance(each, Answer) for each in fresh) == 20
    assert sum(each.right for each in fresh if isinstance(each, Answer)) >= 10
    assert tutor._log.events(tutor.taught.lesson.id) == tutor.events


def test_cards_and_the_experiment_in_the_terminal(tutor: Tutor, page: Page):
    told = answers(tutor, ["review", "", "3", "", "1", "q"])
    assert "Card 1 of" in told
    reviews = [each for each in tutor.events if isinstance(each, Review)]
    assert [each.rating for each in reviews] == [3, 1]
    (experiment,) = of(page, Experiment)
    best = next(each for each in experiment.attempts if each.reached)
    assert isinstance(best, Attempt)
    told = answers(tutor, ["experiment", *(str(at + 1) for at in best.choices)])
    assert "reached" in told
    assert isinstance(tutor.events[-1], Reached)

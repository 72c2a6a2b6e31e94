"""A draft that does not hold is rejected with its reason, and a broken template fails loudly."""

from __future__ import annotations

import msgspec
import pytest

from pipetrace.lessons.answering import answer
from pipetrace.lessons.drafts import Draft, LessonError, Option, claim, fill, literal, result
from pipetrace.lessons.registry import question, templates
from pipetrace.probes.execute import execute

KEY = result("nn.Dropout(0.5).eval()(torch.ones(2))", "Unchanged.", correct=True)
ZERO = result("torch.zeros(2)", "Zeros.", misconception="always-zero")
TWICE = result("torch.ones(2) / 0.5", "Scaled.", misconception="rescale-without-drop")


def draft(*options: Option, **more: object) -> Draft:
    plain = Draft(text="What?", options=options, id="T1", group="quiz", level="easy")
    return msgspec.structs.replace(plain, **more)


def reason(*options: Option) -> str:
    answers = answer([draft(*options)], execute)
    assert answers.questions == ()
    (rejection,) = answers.rejections
    assert rejection.id == "T1"
    return rejection.reason


def test_a_sound_draft_is_asked() -> None:
    answers = answer([draft(KEY, ZERO, TWICE, answer="{letter}: {key}")], execute)
    assert answers.rejections == ()
    (asked,) = answers.questions
    texts = {choice.text: choice.correct for choice in asked.choices}
    assert texts == {"[1.0, 1.0]": True, "[0.0, 0.0]": False, "[2.0, 2.0]": False}
    position = next(index for index, choice in enumerate(asked.choices) if choice.correct)
    assert asked.answer == f"{'ABC'[position]}: [1.0, 1.0]"
    assert all(choice.outcome == execute(choice.executed).value for choice in asked.choices)


def test_a_distractor_that_comes_to_the_key() -> None:
    same = result("torch.ones(2)", "Wrong?", misconception="no-rescale", text="another text")
    assert "came to the key" in reason(KEY, ZERO, same)


def test_equal_texts() -> None:
    again = result("torch.zeros(2) * 3", "Zeros.", misconception="always-zero")
    assert "read the same" in reason(KEY, ZERO, again)


def test_equal_numbers_written_differently() -> None:
    options = (
        result("0.5", "Half.", correct=True),
        result("0.3", "A.", misconception="no-rescale", text="0.3"),
        result("0.2", "B.", misconception="no-rescale", text="0.30"),
    )
    assert "read the same" in reason(*options)


def test_a_key_that_the_run_did_not_record() -> None:
    key = result("torch.ones(1).item()", "One.", correct=True, expected="1.4286")
    assert "1.4286" in reason(key, ZERO)


def test_a_key_recorded_with_fewer_digits_holds() -> None:
    key = result("1 / 0.7", "Scaled.", correct=True, expected="1.429")
    assert answer([draft(key, ZERO)], execute).rejections == ()


def test_a_claim_that_is_true_after_all() -> None:
    options = (
        claim("Right", "1 == 1", "Yes.", correct=True),
        claim("Also right", "2 == 2", "No?", misconception="percent"),
    )
    assert "claimed" in reason(*options)


def test_a_key_that_is_false() -> None:
    options = (
        claim("Right", "1 == 2", "Yes.", correct=True),
        claim("Wrong", "2 == 3", "No.", misconception="percent"),
    )
    assert "claimed" in reason(*options)


def test_a_distractor_with_a_slip_in_its_code() -> None:
    slip = result("torch.zero(2)", "Zeros.", misconception="always-zero", text="zeros")
    assert "AttributeError" in reason(KEY, slip)


def test_an_announced_error_that_does_not_come() -> None:
    call = Option(
        text="a call",
        code="nn.Dropout(1)",
        feedback="",
        misconception="percent",
        raises="ValueError",
    )
    assert "should raise ValueError" in reason(KEY, call)


def test_a_key_that_is_much_longer() -> None:
    options = (
        result(
            "1", "Yes.", correct=True, text="A long and careful sentence, right in every detail"
        ),
        result("2", "No.", misconception="percent", text="Nothing"),
    )
    assert "characters" in reason(*options)


def test_the_rest_is_asked_although_one_is_rejected() -> None:
    answers = answer([draft(KEY, KEY_AGAIN), draft(KEY, ZERO)], execute)
    assert (len(answers.questions), len(answers.rejections)) == (1, 1)


KEY_AGAIN = result("torch.ones(2)", "?", misconception="no-rescale")


@pytest.mark.parametrize(
    ("options", "more", "words"),
    [
        ((ZERO, TWICE), {}, "exactly one"),
        ((KEY, KEY), {}, "exactly one"),
        ((KEY,), {}, "two options"),
        ((KEY, ZERO), {"hint": "{unknown_name}"}, "unknown_name"),
        ((KEY, result("2", "No.", misconception="never-heard-of")), {}, "never-heard-of"),
        ((KEY, result(" ", "No.", misconception="percent")), {}, "without code"),
    ],
)
def test_a_broken_template_fails_loudly(
    options: tuple[Option, ...], more: dict[str, str], words: str
) -> None:
    with pytest.raises(LessonError, match=words):
        answer([draft(*options, **more)], execute)


def test_experiments_fill_texts() -> None:
    asked = answer(
        [
            draft(
                KEY,
                ZERO,
                experiments={"fresh": "nn.Dropout(0.5).training", "sizes": "{'rows': 3}"},
                hint="{fresh}, {sizes_rows}",
            )
        ],
        execute,
    ).questions
    assert asked[0].hint == "True, 3"


def test_an_experiment_that_raises_is_a_rejection() -> None:
    answers = answer([draft(KEY, ZERO, experiments={"x": "nn.Dropout(2)"})], execute)
    assert "ValueError" in answers.rejections[0].reason


def test_braces_in_the_users_names_do_no_harm() -> None:
    assert fill("{stage} is {p}", {"stage": "{p}{nothing}", "p": "0.3"}) == "{p}{nothing} is 0.3"


@pytest.mark.parametrize("value", ["__import__('os')", float("nan"), float("inf"), [1.0, "x"]])
def test_only_finite_numbers_enter_executed_code(value: object) -> None:
    with pytest.raises(LessonError):
        literal(value)  # type: ignore[arg-type]  # that is the test


def test_an_id_is_given_once() -> None:
    with pytest.raises(LessonError, match="D101"):
        question(id="D101", group="quiz", level="easy", needs="run")(templates()[0].write)


def test_a_template_says_what_it_needs() -> None:
    with pytest.raises(LessonError, match="luck"):
        question(id="T999", group="quiz", level="easy", needs="luck")(templates()[0].write)

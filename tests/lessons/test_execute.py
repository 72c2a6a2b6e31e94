"""A snippet runs with real torch and changes nothing around it."""

from __future__ import annotations

import random

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipetrace.lessons.drafts import number
from pipetrace.probes.execute import execute


def test_the_process_is_left_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(5)
    numpy.random.seed(5)
    random.seed(5)
    before = (torch.get_rng_state(), numpy.random.get_state()[1].copy(), random.getstate())
    torch.set_default_dtype(torch.float64)
    threads = torch.get_num_threads()
    try:
        with torch.inference_mode():
            outcome = execute(
                "import numpy, random, warnings\n"
                "numpy.random.rand(); random.random(); torch.rand(3); print('seen')\n"
                "warnings.warn('loud'); torch.set_grad_enabled(False)\n"
                "torch.set_default_dtype(torch.float16); torch.set_num_threads(3)\n"
            )
            assert torch.is_inference_mode_enabled()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert not outcome.error, outcome
    assert outcome.printed == "seen\n"
    assert capsys.readouterr().out == ""
    assert torch.is_grad_enabled()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (numpy.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


def test_also_after_an_error() -> None:
    before = torch.get_rng_state()
    outcome = execute("torch.rand(3); torch.set_default_dtype(torch.float64); nn.Dropout(30)")
    assert outcome.error == "ValueError"
    assert "30" in outcome.message
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32


def test_the_same_seed_draws_the_same() -> None:
    code = "nn.Dropout(0.5)(torch.ones(64))"
    torch.rand(7)
    first = execute(code)
    torch.rand(7)
    assert execute(code) == first
    assert execute(code, seed=1) != first


def test_gradients_float32_and_cpu_whatever_is_set() -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        with torch.no_grad():
            outcome = execute(
                "x = torch.ones(2, requires_grad=True)\n"
                "y = (x * 2).sum()\ny.backward()\n(x.grad, x.dtype, x.device.type)"
            )
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert outcome.value == "([2.0, 2.0], torch.float32, cpu)"


def test_snippets_share_nothing() -> None:
    execute("left = 1")
    assert execute("left").error == "NameError"
    assert execute("left + 1", {"left": 2}).value == "3"


def test_an_interrupt_goes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        execute("raise KeyboardInterrupt")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("torch.zeros(2, 3).shape", "(2, 3)"),
        ("torch.zeros(2).shape", "(2,)"),
        ("torch.tensor([[0.5, 1 / 3]])", "[[0.5, 0.3333]]"),
        ("torch.tensor(-0.00001)", "0.0"),
        ("torch.tensor(float('nan'))", "nan"),
        ("torch.tensor(True)", "True"),
        ("(1.00004, 'a', None)", "(1.0, a, None)"),
        ("x = 1", "None"),
    ],
)
def test_values_are_written_plainly(code: str, text: str) -> None:
    assert execute(code).value == text


def test_a_dict_gives_fields() -> None:
    assert execute("{'on': torch.tensor(0.5), 'off': 1}").fields == {"on": "0.5", "off": "1"}


@given(st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-(10**6), 10**6))
def test_recorded_and_executed_numbers_are_written_alike(value: float) -> None:
    assert execute(repr(value)).value == number(value)

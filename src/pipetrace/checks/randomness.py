"""Randomness that is alive in evaluation: drawn where every module was told `eval()`."""

from __future__ import annotations

from collections.abc import Iterator

from pipetrace.checks import drawing
from pipetrace.checks.drawing import Alive, alive
from pipetrace.checks.evidence import Evidence, Traced, argument, number
from pipetrace.checks.findings import Found
from pipetrace.checks.registry import rule
from pipetrace.tried import Stranger

_CONTAINERS = ("ModuleList", "ModuleDict", "Sequential")
_SOURCES = {"python": "Python's `random`", "numpy": "`numpy.random`"}
_MASKED = (0.02, 0.98)
"""A mask leaves a share of zeros between these."""


@rule("PTR101", "functional-dropout-in-eval", "warning")
def functional_dropout(evidence: Evidence) -> Iterator[Found]:
    """Functional dropout that `eval()` does not reach.

    Predictions are random, and worse than the model could make them: dropout goes on after
    `model.eval()`, because the call does not depend on the mode.

    The forward is played twice with every module in eval mode, from other random numbers; the
    outputs differ, and the arguments that `F.dropout` was really called with say `training=True`.
    Monte Carlo dropout is meant, and stays silent: a program that evaluates the same rows again
    and again, rows that are repeated in the batch, several draws of one value in a forward.

    Write `training=self.training`, or use an `nn.Dropout`.
    """
    for each in _own(evidence):
        op = each.op
        rate = 1.0 if op.function.startswith("rrelu") else each.drops
        told = "True" in (argument(op, "training"), argument(op, "train"))
        if rate and told and not op.within:
            what = "draws slopes" if op.function.startswith("rrelu") else f"drops with p = {rate:g}"
            yield _found(
                each, f"`{op.function}` in {_name(op.module)} {what} in eval mode too.",
                f"It ran with training=True. {each.shown}",
                f"F.{op.function}(x, training=self.training)"
                if op.function.startswith("rrelu")
                else f"F.{op.function}(x, p={rate:g}, training=self.training)",
            )  # fmt: skip


@rule("PTR102", "attention-dropout-in-eval", "warning")
def attention_dropout(evidence: Evidence) -> Iterator[Found]:
    """Dropout of attention weights that `eval()` does not reach.

    `F.scaled_dot_product_attention` has no argument for the mode: with `dropout_p` above 0 it
    drops attention weights after `model.eval()` too, and predictions are random.

    The forward is played twice with every module in eval mode, from other random numbers; the
    outputs differ, and the `dropout_p` that the function was really called with is read. The same
    goes for `F.multi_head_attention_forward` with `training=True`. Monte Carlo dropout is meant,
    and stays silent.

    Write `dropout_p=self.p if self.training else 0.0`.
    """
    for each in _own(evidence):
        op = each.op
        if op.function == drawing.ATTENTION and (rate := number(op, "dropout_p")):
            said = f"It was called with dropout_p = {rate:g} in eval mode."
            fix = f"dropout_p={rate:g} if self.training else 0.0"
        elif op.within == "multi_head_attention_forward" and (rate := each.drops):
            said = f"F.multi_head_attention_forward was told training=True, p = {rate:g}."
            fix = "F.multi_head_attention_forward(..., training=self.training)"
        else:
            continue
        yield _found(each, f"The attention in {_name(op.module)} drops weights in eval mode too.",
                     f"{said} {each.shown}", fix)  # fmt: skip


@rule("PTR103", "handwritten-noise-in-eval", "warning")
def handwritten_mask(evidence: Evidence) -> Iterator[Found]:
    """A dropout written by hand that does not ask for the mode.

    A random mask, stochastic depth or a layer skipped at random goes on after `model.eval()`:
    predictions are random, and parts of the model are missing from each.

    The forward is played twice with every module in eval mode, from other states of torch's,
    numpy's and Python's random streams; the outputs differ. Random numbers are followed to where
    they become zeros and meet data, and modules that ran only once are named. A mask whose
    probability is computed (a sampled gate), a choice of rows, and Monte Carlo draws are meant.

    Write `if self.training:` around it.
    """
    met: set[tuple[int, str, object]] = set()
    for each in _own(evidence):
        mask = drawing.mask_of(each.forward, each.op)
        if mask is None or mask.mask is None:
            continue
        rate, dropped = mask.mask.p, 1 - mask.mask.kept / max(1, mask.mask.total)
        met.add((each.forward.capture.model, each.op.module, each.op.called))
        yield _found(
            each, f"A mask drawn by `{each.op.function}` in {_name(each.op.module)} drops data in "
            "eval mode too.",
            f"It drops with p = {rate:g} ({dropped:.0%} of {mask.mask.total} in the captured "
            f"forward). {each.shown}",
            "if self.training:\n    x = x * mask / keep",
        )  # fmt: skip
    yield from _of_other_streams(evidence)


@rule("PTR104", "dropout-made-in-forward", "warning")
def made_in_forward(evidence: Evidence) -> Iterator[Found]:
    """A dropout layer that is made anew in every forward.

    A new module is in train mode, and `model.eval()` was called before it existed: it drops in
    evaluation too, and predictions are random.

    The forward is played twice with every module in eval mode, from other random numbers; the
    outputs differ, and the module that drew was not there before the forward. A module that is
    made there and told the mode draws nothing in eval mode, and stays silent.

    Make it in `__init__`.
    """
    for each in alive(evidence):
        known = each.stranger
        if known is not None and known.anew and known.training and each.fixed is None:
            rate = each.drops or number(each.op, "dropout", "dropout_p") or 0
            yield _found(
                each, f"A new {known.type} is made in each forward, and drops in eval mode too.",
                f"It ran in train mode with p = {rate:g}. {each.shown}",
                f"self.drop = nn.{known.type}({rate:g})  # in __init__", module="",
            )  # fmt: skip


@rule("PTR105", "unregistered-dropout", "warning")
def unregistered(evidence: Evidence) -> Iterator[Found]:
    """A module with a mode that `eval()` does not reach.

    In a plain list, dict, tuple, `functools.partial` or closure it is no child of the model:
    `model.eval()` leaves it in train mode, and predictions are random. Its parameters, if it has
    some, are not in `model.parameters()` either.

    The forward is played twice with every module in eval mode that `eval()` reaches, from other
    random numbers; the outputs differ, and the module that drew is not among `model.modules()`.
    A module without a mode, or one that is told its mode by hand, stays silent.

    Use `nn.ModuleList`, `nn.ModuleDict`, or an attribute.
    """
    found = set()
    for each in alive(evidence):
        known = each.stranger
        if known is None or known.anew or each.fixed is not None or known.path in found:
            continue
        found.add(known.path)
        rate = each.drops or number(each.op, "dropout", "dropout_p")
        drops = "draws random numbers" if rate is None else f"drops with p = {rate:g}"
        yield _found(
            each, f"`{known.path}` ({known.type}) is not registered: eval() does not reach it.",
            f"It was in train mode and {drops} while the model was in eval mode. {each.shown}",
            "self.layers = nn.ModuleList(layers)", module=known.path,
        )  # fmt: skip
    yield from _moving(evidence)


@rule("PTR106", "mode-baked-by-tracing", "warning")
def baked(evidence: Evidence) -> Iterator[Found]:
    """A traced model whose mode is a constant.

    `torch.fx`, `torch.jit.trace` and `torch.export` record what a forward does in the mode that
    it is in: `training=True` becomes a constant, and `eval()` has no effect on it. Traced in eval
    mode, dropout is missing from the training of the recorded graph.

    The forward is played twice with every module in eval mode, from other random numbers; the
    outputs differ, and what drew is part of a recorded graph. Of a graph that is trained, the
    arguments of dropout are read. A graph that was recorded in eval mode and only predicts is
    right.

    Trace the model in the mode in which the graph is used. One that is both trained and judged
    keeps its mode in `nn.Dropout` modules under `torch.fx`, and under `torch.jit.script`.
    """
    seen = set()
    trained = {calls.model for calls in evidence.trained}
    for each in alive(evidence):
        if each.fixed is not None and (each.forward.capture.model, each.fixed) not in seen:
            seen.add((each.forward.capture.model, each.fixed))
            rate = each.drops or number(each.op, "dropout_p")
            told = "" if rate is None else f" with training=True, p = {rate:g}"
            yield _found(
                each, f"{_name(each.fixed, True)} was traced in train mode: eval() does not stop "
                f"its `{each.op.function}`.",
                f"`{each.op.function}` ran{told} in eval mode. {each.shown}",
                _untraced(rate) if each.forward.capture.model in trained
                else "torch.fx.symbolic_trace(model.eval())", module=each.fixed,
            )  # fmt: skip
    yield from _opaque(evidence)
    yield from _silenced(evidence)


@rule("PTR107", "additive-noise-in-eval", "warning")
def additive_noise(evidence: Evidence) -> Iterator[Found]:
    """Noise on the data that does not ask for the mode.

    Noise that helps in training makes predictions random, and worse, after `model.eval()`.

    The forward is played twice with every module in eval mode, from other random numbers; the
    outputs differ. The noise is followed from where it is drawn to where it meets data, and its
    scale is a constant. Sampling with a learned scale (a VAE, a noisy layer), noise that is an
    output, that is used twice (diffusion), or that makes the output itself (a policy) is meant.

    Write `if self.training:` around it.
    """
    for each in _own(evidence):
        met = drawing.noise(each)
        if met is not None:
            yield _found(
                each, f"`{each.op.function}` in {_name(each.op.module)} adds noise in eval mode "
                "too.",
                f"Noise of the constant scale {met[1]:g} meets data in `{met[0].function}`. "
                f"{each.shown}",
                "if self.training:\n    x = x + scale * torch.randn_like(x)",
            )  # fmt: skip


def _own(evidence: Evidence) -> Iterator[Alive]:
    """Yield what the model's own registered code draws in eval mode."""
    for each in alive(evidence):
        if each.stranger is None and each.fixed is None:
            yield each


def _of_other_streams(evidence: Evidence) -> Iterator[Found]:
    """Yield what numpy's or Python's random numbers drop in eval mode."""
    for forward, advice in drawing.judged(evidence):
        repeats = forward.repeats
        if repeats is None or not (repeats.turned or repeats.left_out):
            continue
        streams = [name for name in repeats.streams if name != "torch"]
        told = _SOURCES[streams[0]] if streams else "A number that torch draws"
        severity = "advice" if advice else ""
        if repeats.left_out:
            path = _owner(evidence, forward, repeats.left_out[0])
            shown = ", ".join(f"`{each}`" for each in repeats.left_out[:3])
            yield Found(
                message=f"{told} decides in {_name(path)} which modules run, in eval mode too.",
                evidence=f"{shown} ran from one of 2 random states only. {drawing.shown(forward)}",
                fix="if self.training and random.random() < p:\n    continue",
                module=path, severity=severity,
                place=None if forward.calls is None else forward.calls.place,
            )  # fmt: skip
            continue
        for each in repeats.turned[:1] if streams else ():
            zeros = each.zeros or 0.0
            grave = _MASKED[0] < zeros < _MASKED[1]
            yield Found(
                message=f"{told} changes `{each.function}` in {_name(each.module)} in eval mode "
                "too.",
                evidence=f"{zeros:.0%} of its output are zeros. {drawing.shown(forward)}",
                fix="if self.training:\n    x = x * mask", module=each.module, place=each.called,
                severity=severity if grave else "advice",
            )  # fmt: skip


def _moving(evidence: Evidence) -> Iterator[Found]:
    """Yield batch normalisations that are not registered and use the batch in eval mode."""
    strangers = {(each.capture, each.path): each for each in evidence.all(Stranger)}
    seen = set()
    for forward in evidence.forwards:
        for op in () if forward.capture.training else forward.ops:
            known = strangers.get((op.capture, op.module))
            batch = op.function == "batch_norm" and argument(op, "training") == "True"
            if batch and known is not None and known.training and not known.anew:
                if known.path not in seen:
                    yield Found(
                        message=f"`{known.path}` ({known.type}) is not registered: eval() does "
                        "not reach it.",
                        evidence="It normalised with the statistics of the batch of "
                        f"{forward.capture.rows or 1} rows while the model was in eval mode.",
                        fix="self.layers = nn.ModuleList(layers)", module=known.path,
                        place=op.called,
                    )  # fmt: skip
                seen.add(known.path)


def _owner(evidence: Evidence, forward: Traced, path: str) -> str:
    """Return the module whose forward decides whether another one runs."""
    while path:
        path = path.rpartition(".")[0]
        part = evidence.part(forward.capture.model, path)
        if part is None or part.type not in _CONTAINERS:
            return path
    return path


def _opaque(evidence: Evidence) -> Iterator[Found]:
    """Yield graphs that TorchScript has recorded: of what they draw only the streams tell."""
    trained = {calls.model for calls in evidence.trained}
    for calls in evidence.evaluated:
        forward = evidence.forward(calls)
        graph = "script(model)" if calls.model in trained else "trace(model.eval(), x)"
        fix = f"torch.jit.{graph}"
        meant = drawing.sampled(calls) or calls.training
        if not calls.fixed or calls.odd or meant:
            continue
        if forward is None and calls.drew and "" in calls.fixed:
            yield Found(
                message="The model was traced in train mode: eval() does not stop its randomness.",
                evidence=f"{calls.drew} of {calls.count} forwards in eval mode drew random "
                "numbers.",
                fix=fix, place=calls.place,
            )  # fmt: skip
        elif forward is not None and forward.repeats is not None and not forward.repeats.equal:
            inside = [op for op in forward.ops if op.opaque and op.module in calls.fixed]
            if inside and not forward.drawing():
                yield Found(
                    message=f"{_name(inside[0].module, True)} was traced in train mode: eval() "
                    "does not stop its randomness.",
                    evidence=drawing.shown(forward), fix=fix, module=inside[0].module,
                    place=inside[0].called,
                )  # fmt: skip


def _silenced(evidence: Evidence) -> Iterator[Found]:
    """Yield graphs that are trained, and whose dropout was recorded in eval mode."""
    for calls in evidence.trained:
        forward = evidence.forward(calls)
        if forward is None or not calls.fixed or not calls.training or not calls.learned:
            continue
        for op in forward.ops:
            off = "False" in (argument(op, "training"), argument(op, "train"))
            rate = number(op, "p")
            if "dropout" in op.function and off and rate and op.module in calls.fixed:
                yield Found(
                    message=f"{_name(op.module, True)} was traced in eval mode: its "
                    f"`{op.function}` never drops in training.",
                    evidence=f"It ran with training=False, p = {rate:g} in each of "
                    f"{calls.trained} training forwards.",
                    fix=_untraced(rate), module=op.module, place=op.called,
                )  # fmt: skip
                break


def _untraced(rate: float | None) -> str:
    """Say how a graph that is both trained and judged keeps its mode: a module has one."""
    return f"self.drop = nn.Dropout({'p' if rate is None else f'{rate:g}'})  # no functional one"


def _name(path: str, first: bool = False) -> str:
    return f"`{path}`" if path else "The model" if first else "the model"


def _found(
    each: Alive, message: str, evidence: str, fix: str, module: str | None = None
) -> Found:  # fmt: skip
    return Found(
        message=message, evidence=evidence, fix=fix, severity=each.severity, place=each.op.called,
        module=each.op.module if module is None else module,
    )  # fmt: skip

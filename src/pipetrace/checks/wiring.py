"""What connects parameters with the loss, with autograd and with the optimizers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from pipetrace.checks import frozen
from pipetrace.checks.cuts import alone, cuts, starved
from pipetrace.checks.evidence import Evidence
from pipetrace.checks.findings import Found
from pipetrace.checks.parameters import (
    above,
    by_module,
    counted,
    module,
    named,
    numbers,
    trained_before,
)
from pipetrace.checks.registry import rule
from pipetrace.observed import Calls, LearningRates, Stepped, Wired
from pipetrace.parts import Place


@rule("PTR601", "graph-cut", "warning")
def graph_cut(evidence: Evidence) -> Iterator[Found]:
    """Layers that should learn get no gradient: the graph is cut behind them.

    They stay as they were made, and what comes after them learns from random features.

    At every step: whether a parameter that wants a gradient, and whose optimizer steps, has one.
    Where none ever comes, the traced forward tells where its values are taken out of the graph
    (`detach`, `data`, a copy by `torch.tensor`, numbers made integers) or go through a function
    whose derivative is 0 (`round`, `sign`), before they reach layers that do learn.

    Stop-gradients beside a path that learns, targets and teachers whose output goes to the loss,
    experts that are not used, and weights that move by other means are meant. Leave the
    `detach` out; where the layers are to stay as they are, give the optimizer only the others.
    """
    for cut, weights in cuts(evidence):
        if not alone(cut, weights):
            how = f"`{cut.cut}` after `{cut.function}`" if cut.cut else f"`{cut.function}`"
            yield Found(
                message=f"No gradient reaches {named(weights)}: {how} cuts the graph before the "
                "loss.",
                evidence=_without(weights, evidence),
                fix="hidden = encoder(x)  # without .detach()\nreturn head(hidden)",
                module=above(weights), place=cut.cut_called or cut.called,
                severity="advice" if trained_before(weights) else "",
            )  # fmt: skip
    for calls, weights in _apart(evidence, graph=True):
        yield Found(
            message=f"No gradient reaches {evidence.name(calls.model)}, though an optimizer steps "
            "its parameters: what it returns is cut off before the loss.",
            evidence=f"It was called {calls.count} times with autograd on, and no backward went "
            f"through any of these calls. {_without(weights, evidence)}",
            fix="hidden = encoder(x)  # without .detach()\nloss = loss_fn(decoder(hidden), y)",
            place=calls.place,
        )  # fmt: skip


@rule("PTR602", "no-grad-in-training", "warning")
def no_grad_in_training(evidence: Evidence) -> Iterator[Found]:
    """Layers that should learn run under `torch.no_grad()` in the training forward.

    They stay as they were made, though the optimizer has them.

    At every step: whether a parameter that wants a gradient, and whose optimizer steps, has one.
    Where none ever comes, and autograd was on when the model was called, the traced forward tells
    whether the op that takes it ran without, and what it made goes on into layers that do learn.

    Feature extraction, with an optimizer that has only the other layers, teachers and targets,
    and weights that do not look drawn, neither uniform nor normal (these are an advice: they may
    come from a checkpoint) are meant. Leave `no_grad` out of the forward.
    """
    for cut, weights in cuts(evidence):
        if alone(cut, weights):
            yield Found(
                message=f"No gradient reaches {named(weights)}: autograd is off there in training.",
                evidence=_without(weights, evidence),
                fix="hidden = encoder(x)  # without torch.no_grad()",
                module=above(weights), place=cut.called,
                severity="advice" if trained_before(weights) else "",
            )  # fmt: skip
    for calls, weights in _apart(evidence, graph=False):
        yield Found(
            message=f"No gradient reaches {evidence.name(calls.model)}, though an optimizer steps "
            "its parameters: it is called without autograd in training.",
            evidence=f"It was called {calls.count} times in train mode, always without autograd. "
            f"{_without(weights, evidence)}",
            fix="hidden = encoder(x)  # without torch.no_grad()\n"
            "loss = loss_fn(decoder(hidden), y)",
            place=calls.place, severity="advice" if trained_before(weights) else "",
        )  # fmt: skip


@rule("PTR603", "not-in-the-optimizer", "warning")
def not_in_the_optimizer(evidence: Evidence) -> Iterator[Found]:
    """A layer gets gradients, and no optimizer has it.

    It stays as it was made while everything around it learns.

    At every step: which parameters have a gradient, and which the optimizers own. It is a finding
    where an optimizer owns parameters that never had a gradient and that no model has which was
    called (a layer was replaced, or the model was copied, after the optimizer was made), or where
    the layers that are left out are the smaller part and lie behind or between layers that learn.

    An optimizer over the last layers only, adapters, prompts and inputs that are optimised, and
    networks that only pass a gradient on are meant. Make the optimizer when the model is complete.
    """
    for model, weights in evidence.wired.items():
        left = _left_out(evidence, weights)
        if not left:
            continue
        owned = [weight for weight in weights if evidence.steps(weight) and weight.moved]
        foreign = _foreign(evidence, weights)
        if foreign is None and not _forgotten(evidence, model, left, owned):
            continue
        within = above(left)
        parted = {within: left} if within or not owned else by_module(left)
        for path, group in parted.items():
            name = f"`{path}`" if path else evidence.name(model)
            owns = "" if foreign is None else (
                f" {foreign[1]} of the parameters that {foreign[0].type} steps belong to no model "
                "that was called, and never had a gradient."
            )  # fmt: skip
            yield Found(
                message=f"{name} gets gradients, but no optimizer steps its parameters.",
                evidence=f"{counted(group)} had a gradient at "
                f"{min(weight.given for weight in group)} of {group[0].steps} steps and did not "
                f"change.{owns}",
                fix="model.head = nn.Linear(...)\noptimizer = torch.optim.Adam(model.parameters())",
                module=path, place=_line(evidence, model, path),
            )  # fmt: skip


@rule("PTR604", "not-registered", "warning")
def not_registered(evidence: Evidence) -> Iterator[Found]:
    """Layers are kept in a plain list or dict, where the model does not see them.

    `parameters()`, `state_dict()`, `to()` and `eval()` leave them out: they never learn, and are
    not in the checkpoint.

    What the attributes of the model's modules hold besides registered modules, in lists, tuples
    and dicts too; which of it gets gradients at the steps; and that no optimizer has it.

    A teacher that is hidden on purpose gets no gradient; layers that are given to an optimizer by
    hand do learn; a plain tensor may be data that a derivative is taken of, and is an advice. Use
    `nn.ModuleList`, `nn.ModuleDict` or `nn.ParameterList`.
    """
    for model, weights in evidence.wired.items():
        if not any(evidence.steps(weight) and weight.moved for weight in weights):
            continue
        hidden = [
            weight for weight in weights
            if not weight.registered and not evidence.steps(weight) and weight.reached
            and weight.moved is False and weight.given * 2 >= weight.steps >= 2
        ]  # fmt: skip
        groups: dict[str, list[Wired]] = defaultdict(list)
        for weight in hidden:
            head = weight.path.partition("[")[0] if "[" in weight.path else module(weight)
            groups[head].append(weight)
        for path, group in groups.items():
            yield Found(
                message=f"The layers in `{path or group[0].path}` are not registered: no optimizer "
                "steps them.",
                evidence=f"{counted(group)} had a gradient at "
                f"{min(weight.given for weight in group)} of {group[0].steps} steps, are not in "
                "model.parameters(), and did not change.",
                fix="self.layers = nn.ModuleList(nn.Linear(size, size) for _ in range(depth))",
                module=path, place=group[0].made or _line(evidence, model, path),
                severity="" if any(weight.parameter for weight in group) else "advice",
            )  # fmt: skip


@rule("PTR605", "frozen-fresh-output", "warning")
def frozen_fresh_output(evidence: Evidence) -> Iterator[Found]:
    """The layer that makes the output is frozen, and still as it was made.

    Predictions go through random weights that never learn: the rest has to learn around them.

    The traced forward tells which layer makes the output. At no step did it want a gradient; its
    matrix passes the test of Kolmogorov and Smirnov for the uniform distribution that `nn.Linear`
    and convolutions begin with (p of at least 0.01); and layers before it learn. It is a warning
    where the frozen layers before it do not look so, as after loading a checkpoint, where it was
    made elsewhere than its neighbours, as when a head is swapped, or where what learns are whole
    layers of the model, and none that was added to it.

    Adapters, LoRA, prompts and biases on a pretrained model with its head, a fixed random
    classifier behind a model that learns, and random targets are meant. Freeze first, then attach
    the head.
    """
    for layer in frozen.fresh_outputs(evidence):
        values = [weight.uniform for weight in layer.weights if weight.uniform is not None]
        yield Found(
            message=f"`{layer.path}` makes the output, and is frozen at its initial values.",
            evidence=f"{counted(layer.weights)} required a gradient at 0 of "
            f"{layer.weights[0].steps} steps, while {layer.learning} other parameters learn. Their "
            "values are distributed as PyTorch initialises such a layer (Kolmogorov-Smirnov test, "
            f"p = {min(values):.2g}).",
            fix="for parameter in model.parameters():\n    parameter.requires_grad_(False)\n"
            "model.head = nn.Linear(...)  # after freezing",
            module=layer.path, place=_line(evidence, layer.model, layer.path),
            severity="" if layer.contradicts else "advice",
        )  # fmt: skip


@rule("PTR606", "optimizer-that-never-steps", "warning")
def optimizer_that_never_steps(evidence: Evidence) -> Iterator[Found]:
    """Gradients are computed, and nobody takes a step with them.

    Its parameters stay as they are, at the full cost of training.

    Every call that clears an optimizer's gradients, whether it threw away some that no step had
    used, and whether the optimizer ever stepped. Gradients of layers that no optimizer has, as in
    feature extraction, cost time only: that is a note.

    Weights that are changed by hand, and optimizers that step now and then are meant. Call
    `optimizer.step()`, and switch off gradients that nobody needs.
    """
    for optimizer in evidence.optimizers.values():
        own = [w for w in evidence.all(Wired) if optimizer.id in w.optimizers]
        still = own and not any(weight.moved for weight in own)
        if not optimizer.steps and optimizer.unused >= 3 and still:
            yield Found(
                message=f"{optimizer.type} never steps: its gradients are computed and cleared.",
                evidence=f"{optimizer.unused} of {optimizer.clearings} calls that cleared the "
                f"gradients of its {optimizer.parameters} parameters threw away some that no step "
                "had used. It took 0 steps.",
                fix="optimizer.zero_grad()\nloss.backward()\noptimizer.step()",
                place=optimizer.cleared,
            )  # fmt: skip
    for model, weights in evidence.wired.items():
        left = [w for w in _left_out(evidence, weights) if not w.optimizers]
        owned = [weight for weight in weights if evidence.steps(weight) and weight.moved]
        if not left or not owned or _foreign(evidence, weights):
            continue
        if not _forgotten(evidence, model, left, owned):
            yield Found(
                message="Gradients are computed that no optimizer uses: those of "
                f"{named(left)}.",
                evidence=f"{counted(left)} had a gradient at "
                f"{max(weight.given for weight in left)} steps.",
                fix="for parameter in backbone.parameters():\n    parameter.requires_grad_(False)",
                module=above(left), severity="note",
            )  # fmt: skip


@rule("PTR607", "steps-that-move-nothing", "warning")
def steps_that_move_nothing(evidence: Evidence) -> Iterator[Found]:
    """An optimizer steps, and nothing can move.

    The loop looks like training, and the model stays as it was made.

    Whether an optimizer found a gradient other than 0 at any of its steps, and its learning rate
    at each; whether the model that has its parameters was called with autograd on; and that none
    of them changed.

    A phase in which its layers are frozen, and a warm-up that begins at 0, are meant. Do not make
    the loss a new tensor before `backward`; a schedule from 0 has to be stepped.
    """
    rates = {rate.optimizer: rate.rates for rate in evidence.all(LearningRates)}
    called = {calls.model for calls in evidence.calls if calls.graph and calls.count > 1}
    for optimizer in evidence.optimizers.values():
        own = [w for w in evidence.all(Wired) if optimizer.id in w.optimizers]
        wants = [w for w in own if w.wanted == w.steps and w.model in called]
        if optimizer.steps < 3 or not wants or any(weight.moved is not False for weight in own):
            continue
        why, fix = "", "optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)"
        if optimizer.bare == optimizer.steps and optimizer.emptied * 2 < optimizer.steps:
            why = "found no gradient other than 0"
            fix = "loss = loss_fn(model(x), y)  # no new tensor, no .item()\nloss.backward()\n" \
                  "optimizer.step()"  # fmt: skip
        elif not any(rates.get(optimizer.id, (1.0,))):
            why = "had a learning rate of 0"
        if why:
            yield Found(
                message=f"{optimizer.type} steps and changes nothing: it {why}.",
                evidence=f"At {optimizer.steps} of {optimizer.steps} steps it {why}; none of its "
                f"{optimizer.parameters} parameters changed.",
                fix=fix, place=optimizer.place,
            )  # fmt: skip


def _apart(evidence: Evidence, graph: bool) -> Iterator[tuple[Calls, list[Wired]]]:
    """Yield calls of models that an optimizer has beside others that learn, and never trains."""
    for model, weights in evidence.wired.items():
        calls = [each for each in evidence.calls if each.model == model]
        ours = [each for each in calls if each.graph is graph and each.training]
        switched = not graph and any(each.graph and each.training for each in calls)
        owners = {owner for weight in weights for owner in weight.optimizers}
        learns = any(
            optimizer.id in owners and optimizer.bare < optimizer.steps
            for optimizer in evidence.optimizers.values()
        )  # fmt: skip
        if not ours or switched or not learns or any(each.trained for each in calls):
            continue
        often = sum(each.count for each in ours) * 2 >= max(weight.steps for weight in weights)
        if often and all(starved(evidence, weight) and not weight.given for weight in weights):
            yield ours[0], weights


def _left_out(evidence: Evidence, weights: Iterable[Wired]) -> list[Wired]:
    """Return the registered parameters that get gradients, and that no optimizer moves."""
    return [
        weight for weight in weights
        if weight.registered and not weight.optimizers and weight.reached
        and weight.moved is False and weight.wanted == weight.steps
        and weight.given * 2 >= weight.steps >= 2
    ]  # fmt: skip


def _foreign(evidence: Evidence, weights: list[Wired]) -> tuple[Stepped, int] | None:
    """Return an optimizer of this model that has parameters of no model that was called."""
    mine = {owner for weight in weights for owner in weight.optimizers}
    everybody = evidence.all(Wired)
    for optimizer in evidence.optimizers.values():
        own = [weight for weight in everybody if optimizer.id in weight.optimizers]
        known = sum(not weight.given for weight in own)
        lost = optimizer.without - known
        if optimizer.steps >= 2 and lost > 0 and (optimizer.id in mine or not own):
            return optimizer, lost
    return None


def _forgotten(
    evidence: Evidence, model: int, left: list[Wired], owned: list[Wired]
) -> bool:  # fmt: skip
    """Tell whether layers that no optimizer has lie behind some that learn.

    They are few, or make the output and look as they were made.
    """
    for forward in evidence.forwards if owned else ():
        if forward.capture.model == model and forward.calls and forward.calls.trained:
            first = forward.using({weight.path for weight in owned})
            last = forward.using({weight.path for weight in left})
            few = numbers(left) < numbers(owned)
            if first and last and few and last[-1].index > first[0].index:
                return True
            return frozen.fresh_end(forward, left, owned)
    return False


def _without(weights: list[Wired], evidence: Evidence) -> str:
    """Say at how many steps parameters had no gradient."""
    optimizers = evidence.optimizers
    owners = sorted({optimizers[o].type for w in weights for o in w.optimizers if o in optimizers})
    had = "a gradient of exactly 0" if any(weight.given for weight in weights) else "no gradient"
    steps = max(weight.steps for weight in weights)
    return (f"{counted(weights)} of {' and '.join(owners)} had {had} at {steps} of {steps} steps, "
            "and did not change.")  # fmt: skip


def _line(evidence: Evidence, model: int, path: str) -> Place | None:
    """Return the line that made a module where it was watched, else the model's call."""
    part = evidence.part(model, path)
    if part is not None and part.made is not None:
        return part.made
    return next((calls.place for calls in evidence.trained if calls.model == model), None)

"""Everything that is watched is put back, and what is not the program's own is not heard."""

from __future__ import annotations

import io
import pickle
import threading
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import optimizer as optimizers
from torch.utils.checkpoint import checkpoint
from torch.utils.data import dataloader

import pipetrace
from pipetrace import session
from pipetrace.records import Capture, Epoch, Model, Prediction
from pipetrace.training import signals


def watched() -> list[Any]:
    """Return all that a recording replaces, or adds to."""
    return [
        nn.Module.__call__,
        dataloader._BaseDataLoaderIter.__next__,
        torch.autograd._engine_run_backward,
        torch.autograd.graph._engine_run_backward,
        *(getattr(F, name) for name in signals.LOSSES),
        dict(optimizers._global_optimizer_pre_hooks),
        dict(optimizers._global_optimizer_post_hooks),
        dict(nn.modules.module._global_forward_hooks),
        dict(nn.modules.module._global_forward_pre_hooks),
    ]


def step(task: Any) -> torch.Tensor:
    loss = F.cross_entropy(task.model(task.x), task.y)
    task.optimizer.zero_grad()
    loss.backward()
    task.optimizer.step()
    return loss


def heard() -> Any:
    assert session.current is not None
    return session.current.recorder


def test_everything_is_put_back(task: Any):
    before = watched()
    with pipetrace.record():
        during = watched()
        step(task)
    assert watched() == before
    assert all(now is not then for now, then in zip(during[:24], before[:24], strict=True))
    task.y[0] = 5
    with pytest.raises(IndexError), pipetrace.record():
        step(task)
    assert watched() == before


def test_a_loss_function_keeps_its_name_and_is_found_as_pytorch_made_it():
    plain = F.cross_entropy
    with pipetrace.record():
        assert F.cross_entropy.__name__ == "cross_entropy"
        assert F.cross_entropy.__doc__ == plain.__doc__
        assert signals.is_wrapper(F.cross_entropy.__code__)
        assert signals.original("cross_entropy") is plain
    assert signals.original("cross_entropy") is plain


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_a_loss_function_can_be_scripted(task: Any):
    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits, target)

    with pipetrace.record() as run:
        scripted = torch.jit.script(loss)
        value = scripted(task.model(task.x), task.y)
        value.backward()
        task.optimizer.step()
    assert torch.isfinite(value)
    assert run.recording.all(Epoch)[0].score.loss == pytest.approx(value.item())


def test_a_compiled_model_stays_one_graph(task: Any):
    import torch._dynamo as dynamo

    def trained() -> tuple[int, int]:
        dynamo.reset()
        dynamo.utils.counters.clear()
        compiled = torch.compile(task.model, backend="eager", fullgraph=True)
        for _ in range(3):
            loss = F.cross_entropy(compiled(task.x), task.y)
            loss.backward()
            task.optimizer.step()
        stats = dynamo.utils.counters["stats"]
        return stats["unique_graphs"], stats["calls_captured"]

    alone = trained()
    assert alone[0] == 1
    with pipetrace.record() as run:
        assert trained() == alone
    assert [m.type for m in run.recording.all(Model)] == ["Sequential"]
    others = {p.capture for p in run.recording.all(Prediction) if p.role != "chosen"}
    receipts = [c.receipt for c in run.recording.all(Capture) if c.id not in others]
    assert receipts
    assert all(receipt is not None and receipt.equal for receipt in receipts)
    dynamo.reset()


def test_what_a_checkpoint_computes_again_is_no_forward(task: Any):
    class Saving(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return checkpoint(self.inner, x, use_reentrant=False)

    calls = []
    task.model.register_forward_pre_hook(lambda *_: calls.append(True))
    model = Saving(task.model)
    with pipetrace.record() as run:
        for _ in range(2):
            F.cross_entropy(model(task.x), task.y).backward()
            task.optimizer.step()
            once = checkpoint(task.model, task.x, use_reentrant=False)
            F.cross_entropy(once, task.y).backward()
        assert heard().forwards == 4
    assert len(calls) >= 8
    assert [m.type for m in run.recording.all(Model)] == ["Saving", "Sequential"]


def test_other_threads_are_not_heard(task: Any):
    with pipetrace.record() as run:
        thread = threading.Thread(target=step, args=(task,))
        thread.start()
        thread.join()
        recorder = heard()
        assert (recorder.forwards, recorder.backwards, recorder.course.steps) == (0, 0, 0)
        step(task)
        assert (recorder.forwards, recorder.backwards, recorder.course.steps) == (1, 1, 1)
    assert len(run.recording.all(Model)) == 1


def test_a_model_is_saved_as_if_nobody_watched(task: Any):
    def saved() -> tuple[bytes, bytes]:
        file = io.BytesIO()
        torch.save(task.model.state_dict(), file)
        return pickle.dumps(task.model), file.getvalue()

    step(task)
    task.model.zero_grad()
    alone = saved()
    with pipetrace.record():
        task.model(task.x)
        assert saved() == alone
        assert pickle.loads(pickle.dumps(F.cross_entropy)) is F.cross_entropy


def test_only_the_outermost_call_is_a_forward(task: Any):
    with pipetrace.record():
        step(task)
        task.model[0](task.x)
        assert heard().forwards == 2
        with heard().watch.quiet():
            step(task)
        assert (heard().forwards, heard().course.steps) == (2, 1)


def test_an_exception_of_a_loss_function_reaches_the_program(task: Any):
    with pytest.raises(ValueError, match="batch_size") as caught, pipetrace.record():
        F.cross_entropy(task.model(task.x), task.y[:3])
    assert "cross_entropy" in str(caught.traceback[-1])

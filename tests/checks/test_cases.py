"""Of the programs in `../shared/cases` every bug is named in its place, and no healthy one is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

import pytest
from watching import module, program

CASES = Path(__file__).parents[3] / "shared" / "cases"
FILES = sorted(CASES.glob("case_*.py"))

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not FILES, reason="the programs are not here: ../shared/cases"),
]


class Right(NamedTuple):
    """Which rules name a bug's mechanism, and what its place is called."""

    rules: set[str]
    modules: set[str] = frozenset()
    """Paths, one of which is named; empty where the fault is in the loop."""
    line: str = ""
    """What the named line contains, where the fault is in the loop."""


BUGS = {
    "adapter_injected_in_train_mode": Right({"PTR302", "PTR306"}, {"fc1", "fc1.lora_dropout"}),
    "batch_first_mixup": Right({"PTR806"}, {"attn"}),
    "bn_batch_stats_in_eval": Right({"PTR401"}, {"bn"}),
    "checkpoint_without_rng": Right({"PTR501"}, {"blocks.0", "blocks.0.drop", "blocks"}),
    "custom_dropout_no_rescale": Right({"PTR207"}, {"drop"}),
    "custom_noise_ungated": Right({"PTR103"}, {""}, "torch.bernoulli"),
    "double_dropout": Right({"PTR203"}, {""}, "F.dropout"),
    "double_softmax": Right({"PTR803"}, {"softmax"}),
    "dropout_before_batchnorm": Right({"PTR211"}, {"net.2", "net.3"}),
    "dropout_created_in_forward": Right({"PTR104"}, set(), "nn.Dropout(self.p)"),
    "dropout_has_no_effect": Right({"PTR208"}, {"drop"}),
    "dropout_not_registered": Right({"PTR105"}, {"drops[0]", "drops[1]", "drops"}),
    "dropout_on_output": Right({"PTR204"}, {"drop"}),
    "dropout_p_one": Right({"PTR201"}, {"branch.2"}),
    "dropout_wrong_dims": Right({"PTR205"}, {"drop"}),
    "droppath_ungated": Right({"PTR103"}, {"blocks.0", "blocks.1", "blocks.2"}),
    "eval_mean_of_means": Right({"PTR807"}),
    "eval_missing_in_validation": Right({"PTR301"}, set(), "model("),
    "frozen_bn_thawed": Right({"PTR403"}, {"backbone.1"}),
    "functional_dropout_ungated": Right({"PTR101"}, {""}, "F.dropout"),
    "graph_cut": Right({"PTR601"}, {"encoder", "encoder.0", "encoder.2"}),
    "inplace_dropout_residual": Right({"PTR210"}, {"drop"}),
    "inputs_targets_shuffled_apart": Right({"PTR801"}),
    "keep_prob_as_p": Right({"PTR202"}, {"drop1", "drop2"}),
    "loss_broadcast": Right({"PTR804"}),
    "lr_collapse": Right({"PTR702"}),
    "mc_dropout_with_batchnorm": Right({"PTR402"}, {"bn"}),
    "missing_zero_grad": Right({"PTR701"}, set(), "step()"),
    "mode_baked_by_tracing": Right({"PTR106"}),
    "mode_flag_set_directly": Right({"PTR303"}),
    "no_grad_in_train_forward": Right({"PTR602"}, {"encoder", "encoder.0"}),
    "optimizer_before_head_swap": Right({"PTR603"}, {"head"}),
    "params_not_registered": Right({"PTR604"}, {"hidden", "hidden[0]", "hidden[1]"}),
    "partial_eval": Right({"PTR302"}, {"decoder", "decoder.drop"}),
    "preprocessing_mismatch": Right({"PTR802"}),
    "rnn_dropout_single_layer": Right({"PTR206"}, {"rnn"}),
    "same_mask_every_step": Right({"PTR502"}),
    "sdpa_dropout_ungated": Right({"PTR102"}, {"attn"}),
    "softmax_wrong_dim": Right({"PTR805"}, {""}, "log_softmax"),
    "train_missing_after_validation": Right({"PTR305"}),
    "trained_in_eval_mode": Right({"PTR304"}),
    "unintended_freeze": Right({"PTR605"}, {"head"}),
}
"""What a right diagnosis of each bug is; the rules never see this."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_case_is_diagnosed(path: Path):
    case = module(path)
    missing = [name for name in getattr(case, "REQUIRES", ()) if not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    found = program(case.build)
    grave = [each for each in found if each.grave]
    bug = case.build()["bug"]
    if bug is None:
        assert [(each.id, each.module, each.message) for each in grave] == []
        return
    right = BUGS[bug]
    counted = [each for each in grave if each.id in right.rules]
    assert counted, [(each.id, each.module, each.message) for each in grave]
    for each in counted:
        assert not right.modules or each.module in right.modules
        assert right.line in each.text
    assert {each.id for each in grave} <= right.rules

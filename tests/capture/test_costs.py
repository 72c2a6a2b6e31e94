"""An op is counted as PyTorch's own counter counts it, and by the same rule where that is blind."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from math import prod
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from pipetrace.capture import costs, names, trees
from pipetrace.capture.free import FREE

# oneDNN says so where it is switched off and on again, and where it leaves an LSTM to others.
pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration", "ignore:LSTM with projections")
R = torch.randn


class Costs(TorchFunctionMode):
    """Counts every call as the tracer sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int | None]] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = names.plain_name(func)
        arguments = names.arguments(names.plan(func), [*enumerate(args), *(kwargs or {}).items()])
        tensors = {key: [t for _, t in trees.leaves(value)] for key, value in arguments.items()}
        plain = {key: value for key, value in arguments.items() if not tensors[key]}
        taken = [tuple(tensor.shape) for found in tensors.values() for tensor in found]
        output = func(*args, **(kwargs or {}))
        made = [tuple(tensor.shape) for _, tensor in trees.leaves(output)]
        if made:
            self.seen.append((name, costs.flops(name, plain, taken, made)))
        return output


def ours(call: Callable[[], Any]) -> int:
    """Count a call's ops one by one; every one of them must be known."""
    with Costs() as mode:
        call()
    unknown = [name for name, count in mode.seen if count is None]
    assert not unknown
    return sum(count for _, count in mode.seen if count is not None)


def torchs(call: Callable[[], Any]) -> int:
    """Count a call as PyTorch does, with the fused kernels that its counter cannot see off."""
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
        counter = stack.enter_context(FlopCounterMode(display=False))
        call()
    return counter.get_total_flops()


CIRCULAR = nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular")
PRODUCTS: dict[str, Callable[[], Any]] = {
    "linear of a vector": lambda: F.linear(R(3), R(4, 3), R(4)),
    "linear without bias": lambda: F.linear(R(5, 3), R(4, 3)),
    "linear of matrices": lambda: F.linear(R(2, 5, 3), R(4, 3), R(4)),
    "linear of four dimensions": lambda: F.linear(R(2, 2, 5, 3), R(4, 3), bias=R(4)),
    "linear of no rows": lambda: F.linear(R(0, 3), R(4, 3), R(4)),
    "linear of no columns": lambda: F.linear(R(2, 0), R(4, 0), R(4)),
    "vector @ matrix": lambda: R(3) @ R(3, 4),
    "vector @ matrices": lambda: R(3) @ R(2, 3, 4),
    "matrix @ matrix": lambda: R(2, 3) @ R(3, 4),
    "matrix @ matrices": lambda: R(2, 3) @ R(5, 3, 4),
    "matrices @ matrix": lambda: torch.matmul(R(5, 2, 3), R(3, 4)),
    "matrices @ matrices": lambda: R(5, 2, 3).matmul(R(5, 3, 4)),
    "matrices broadcast": lambda: R(5, 1, 2, 3) @ R(6, 3, 4),
    "matrices broadcast both ways": lambda: R(5, 1, 2, 3) @ R(1, 6, 3, 4),
    "no matrices": lambda: R(0, 2, 3) @ R(3, 4),
    "mm": lambda: torch.mm(R(2, 3), R(3, 4)),
    "bmm": lambda: torch.bmm(R(5, 2, 3), R(5, 3, 4)),
    "addmm": lambda: torch.addmm(R(4), R(2, 3), R(3, 4), beta=0.5),
    "baddbmm": lambda: torch.baddbmm(R(5, 2, 4), R(5, 2, 3), R(5, 3, 4)),
    "inner": lambda: torch.inner(R(2, 3), R(4, 3)),
    "tensordot": lambda: torch.tensordot(R(2, 3, 4), R(4, 3, 5), dims=([2, 1], [0, 1])),
    "tensordot over two": lambda: torch.tensordot(R(2, 3, 4), R(3, 4, 5)),
    "tensordot over none": lambda: torch.tensordot(R(2, 3), R(4), 0),
    "chained": lambda: ((R(2, 3) @ R(3, 4)).relu() @ R(4, 5)).softmax(-1).sum(),
}
EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ba,ca", (2, 3), (4, 3)),
    (" i j , j k -> i k ", (2, 3), (3, 4)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("bij,bjk->ik", (5, 2, 3), (5, 3, 4)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
    ("...ij,...jk", (7, 3, 4), (7, 4, 2)),
    ("...i,i->...", (2, 3, 4), (4,)),
    ("...i,...i->", (2, 3), (2, 3)),
    ("ii,ij->j", (3, 3), (3, 4)),
    ("ij,ij->i", (2, 3), (2, 3)),
    ("ij,jk->k", (2, 3), (3, 4)),
    ("ij,kl->il", (2, 3), (4, 5)),
    ("i,j->ij", (2,), (3,)),
    ("i,i->i", (3,), (3,)),
    ("i,i->", (3,), (3,)),
    ("ij,jk->ik", (2, 3), (1, 4)),
    ("ij,jk->ik", (2, 1), (1, 4)),
    ("ij,jk->ik", (2, 0), (0, 4)),
    (",i->i", (), (3,)),
]
CONVOLUTIONS: dict[str, Callable[[], Any]] = {
    "1d": lambda: F.conv1d(R(2, 3, 9), R(4, 3, 3), R(4)),
    "1d without a batch": lambda: F.conv1d(R(3, 9), R(4, 3, 3)),
    "1d grouped": lambda: F.conv1d(R(2, 6, 9), R(4, 3, 3), groups=2),
    "2d": lambda: F.conv2d(R(2, 3, 8, 9), R(4, 3, 3, 5), R(4), 2, 1),
    "2d without a batch": lambda: F.conv2d(R(3, 8, 9), R(4, 3, 3, 5), R(4)),
    "2d depthwise": lambda: F.conv2d(R(2, 6, 8, 8), R(12, 1, 3, 3), groups=6),
    "2d dilated": lambda: F.conv2d(R(2, 3, 12, 12), R(4, 3, 3, 3), dilation=(2, 3)),
    "2d same": lambda: F.conv2d(R(2, 3, 8, 9), R(4, 3, 5, 3), padding="same"),
    "2d valid": lambda: F.conv2d(R(2, 3, 8, 9), R(4, 3, 4, 3), padding="valid"),
    "2d of no images": lambda: F.conv2d(R(0, 3, 8, 9), R(4, 3, 4, 3)),
    "3d": lambda: F.conv3d(R(2, 3, 5, 6, 7), R(4, 3, 2, 3, 3), stride=(1, 2, 2)),
    "1d transposed": lambda: F.conv_transpose1d(R(2, 3, 9), R(3, 4, 3), R(4), stride=2),
    "2d transposed": lambda: F.conv_transpose2d(R(2, 6, 4, 5), R(6, 2, 3, 3), groups=3),
    "2d transposed, no batch": lambda: F.conv_transpose2d(R(3, 4, 5), R(3, 2, 3, 3), padding=1),
    "3d transposed": lambda: F.conv_transpose3d(
        R(2, 3, 4, 5, 3), R(3, 2, 3, 3, 2), stride=2, output_padding=1
    ),
    "general": lambda: torch.ops.aten.convolution(
        R(2, 3, 8, 8), R(3, 4, 3, 3), None, [1, 1], [0, 0], [1, 1], True, [0, 0], 1
    ),
    "2d circular": lambda: CIRCULAR(R(2, 3, 8, 8)),
}
ATTENTIONS: dict[str, Callable[[], Any]] = {
    "plain": lambda: F.scaled_dot_product_attention(R(2, 4, 5, 8), R(2, 4, 6, 8), R(2, 4, 6, 8)),
    "of three dimensions": lambda: F.scaled_dot_product_attention(
        R(4, 5, 8), R(4, 6, 8), R(4, 6, 8)
    ),
    "of other value width": lambda: F.scaled_dot_product_attention(
        R(2, 4, 5, 8), R(2, 4, 6, 8), R(2, 4, 6, 3), dropout_p=0.5
    ),
    "of grouped queries": lambda: F.scaled_dot_product_attention(
        R(2, 4, 5, 8), R(2, 2, 6, 8), R(2, 2, 6, 8), enable_gqa=True
    ),
    "causal": lambda: F.scaled_dot_product_attention(
        R(2, 4, 5, 8), R(2, 4, 5, 8), R(2, 4, 5, 8), is_causal=True
    ),
    "with a mask": lambda: F.scaled_dot_product_attention(
        R(2, 4, 5, 8), R(2, 4, 6, 8), R(2, 4, 6, 8), attn_mask=R(5, 6)
    ),
}


@pytest.mark.parametrize("call", PRODUCTS.values(), ids=PRODUCTS)
def test_a_product_of_matrices_counts_as_in_torch(call: Callable[[], Any]):
    assert ours(call) == torchs(call)


@pytest.mark.parametrize(("equation", "left", "right"), EINSUMS)
def test_an_einsum_counts_as_in_torch(equation: str, left: Any, right: Any):
    def call() -> Tensor:
        return torch.einsum(equation, R(left), R(right))

    assert ours(call) == torchs(call)


def test_an_einsum_of_one_operand_multiplies_nothing_and_of_three_is_not_known():
    assert ours(lambda: torch.einsum("ij->ji", R(2, 3))) == 0
    assert costs.flops("einsum", {"equation": "i,i,i->i"}, [(3,)] * 3, [(3,)]) is None


@pytest.mark.parametrize("call", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_a_convolution_counts_as_in_torch(call: Callable[[], Any]):
    assert ours(call) == torchs(call)


@pytest.mark.parametrize("call", ATTENTIONS.values(), ids=ATTENTIONS)
def test_attention_counts_as_in_torch(call: Callable[[], Any]):
    assert ours(call) == torchs(call)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"kdim": 6, "vdim": 5},
        {"add_bias_kv": True},
        {"add_zero_attn": True},
        {"add_bias_kv": True, "add_zero_attn": True, "kdim": 6, "vdim": 5, "batch_first": True},
        {"batch_first": True, "dropout": 0.5},
    ],
    ids=str,
)
def test_an_attention_layer_counts_as_in_torch(options: dict[str, Any], weights: bool):
    layer = nn.MultiheadAttention(8, 2, **options)
    key, value = R(7, 3, options.get("kdim", 8)), R(7, 3, options.get("vdim", 8))
    inputs = [R(4, 3, 8), key, value]
    if options.get("batch_first"):
        inputs = [tensor.transpose(0, 1) for tensor in inputs]

    def call() -> Any:
        return layer(*inputs, need_weights=weights)

    assert ours(call) == torchs(call)
    alone = inputs[0][0]
    if "kdim" not in options:
        assert ours(lambda: layer(alone, alone, alone)) == torchs(
            lambda: layer(alone, alone, alone)
        )


def test_an_extra_key_and_value_may_be_vectors():
    one, weights = R(3, 1, 2), (R(6, 2), R(6), R(2), R(2))

    def call() -> Any:
        return F.multi_head_attention_forward(
            one, one, one, 2, 1, *weights, False, 0.0, R(2, 2), R(2)
        )

    assert ours(call) == torchs(call)


def test_an_attention_mask_of_three_dimensions_is_no_extra_key():
    layer, query = nn.MultiheadAttention(8, 2), R(4, 3, 8)
    for mask in (R(6, 4, 4), R(4, 4)):

        def call(mask: Tensor = mask) -> Any:
            return layer(query, query, query, attn_mask=mask)

        assert ours(call) == torchs(call)


LAYERS = [
    nn.LSTM(3, 4),
    nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True),
    nn.LSTM(3, 4, 2, bias=False, dropout=0.5),
    nn.LSTM(3, 4, 3, proj_size=2, bidirectional=True),
    nn.GRU(3, 4, 2, bidirectional=True),
    nn.GRU(3, 4, bias=False, batch_first=True),
    nn.RNN(3, 4, 2),
    nn.RNN(3, 4, nonlinearity="relu", bidirectional=True),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_a_recurrent_layer_counts_as_in_torch(layer: nn.RNNBase):
    weights = sum(parameter.numel() for parameter in layer.parameters() if parameter.dim() == 2)
    batch, alone = R(5, 2, 3), R(5, 3)
    lengths = [2, 2, 1, 1, 1] if layer.batch_first else [5, 3]
    packed = nn.utils.rnn.pack_padded_sequence(batch, lengths, batch_first=layer.batch_first)
    for value, rows in ((batch, 10), (alone, 5), (packed, sum(lengths))):
        assert ours(lambda value=value: layer(value)) == 2 * rows * weights
        assert torchs(lambda value=value: layer(value)) == 2 * rows * weights


@pytest.mark.parametrize(
    "cell", [nn.LSTMCell(3, 4), nn.GRUCell(3, 4), nn.RNNCell(3, 4), nn.RNNCell(3, 4, False, "relu")]
)
def test_a_recurrent_cell_counts_as_in_torch(cell: nn.RNNCellBase):
    for value in (R(2, 3), R(4, 3), R(3)):

        def call(value: Tensor = value) -> Any:
            return cell(value)

        assert ours(call) == torchs(call) > 0


@pytest.mark.parametrize(
    ("call", "count"),
    [
        (lambda: torch.mv(R(3, 4), R(4)), 2 * 3 * 4),
        (lambda: R(2, 3, 4) @ R(4), 2 * 2 * 3 * 4),
        (lambda: R(2, 4).addmm_(R(2, 3), R(3, 4)), 2 * 2 * 3 * 4),
        (lambda: torch.addmv(R(3), R(3, 4), R(4)), 2 * 3 * 4),
        (lambda: torch.dot(R(4), R(4)), 2 * 4),
        (lambda: torch.vdot(R(4), R(4)), 2 * 4),
        (lambda: R(4) @ R(4), 2 * 4),
        (lambda: F.linear(R(5, 4), R(4)), 2 * 5 * 4),
        (lambda: torch.addbmm(R(3, 5), R(2, 3, 4), R(2, 4, 5)), 2 * 2 * 3 * 4 * 5),
    ],
)
def test_products_that_torch_leaves_out_count_by_the_same_rule(call, count: int):
    assert torchs(call) == 0
    assert ours(call) == count


def test_fused_kernels_that_torch_leaves_out_count_by_the_same_rule():
    layer, steps = nn.LSTM(3, 4), R(5, 2, 3)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(steps)
    assert ours(lambda: layer(steps)) == torchs(lambda: layer(steps)) >= counter.get_total_flops()


FREELY: dict[str, Callable[[], Any]] = {
    "arithmetic": lambda: (R(3, 4) + R(4)) * 2 - R(3, 1) / 3 ** R(1),
    "in place": lambda: R(3).add_(1).mul_(2).relu_().clamp_(0, 1),
    "activations": lambda: F.gelu(F.silu(torch.tanh(F.leaky_relu(F.elu(R(3)))))),
    "softmax": lambda: F.log_softmax(F.softmax(R(3, 4), -1), -1),
    "reductions": lambda: (R(3, 4).sum(0), R(3, 4).mean(), R(3).std(), R(3, 4).max(1), R(3).norm()),
    "norms": lambda: (
        F.layer_norm(R(3, 4), (4,)),
        F.batch_norm(R(3, 4), None, None, training=True),
        F.group_norm(R(3, 4), 2),
        F.rms_norm(R(3, 4), (4,)),
        F.instance_norm(R(3, 4, 5)),
    ),
    "dropout": lambda: (F.dropout(R(9)), F.dropout2d(R(1, 2, 3, 3)), F.alpha_dropout(R(9), 0.5)),
    "pooling": lambda: F.adaptive_avg_pool2d(F.avg_pool2d(F.max_pool2d(R(1, 2, 8, 8), 2), 2), 1),
    "pooling with places": lambda: F.max_pool1d(R(1, 2, 8), 2, return_indices=True),
    "views": lambda: R(2, 6).view(3, 4).T.unsqueeze(0).expand(2, 4, 3).flatten(1)[:, 1:].chunk(2),
    "properties": lambda: (R(2, 3).mT, R(2, 3).H, R(3).real),
    "movement": lambda: torch.cat([R(3), torch.stack([R(2), R(2)]).reshape(4)]).to(torch.float64),
    "lookup": lambda: F.embedding(torch.tensor([1, 2]), R(4, 3)).index_select(0, torch.tensor([1])),
    "writing": lambda: R(4).__setitem__(0, R(())),
    "losses": lambda: F.cross_entropy(R(3, 4), torch.tensor([0, 1, 2])) + F.mse_loss(R(3), R(3)),
    "resizing": lambda: F.pad(F.interpolate(R(1, 1, 2, 2), scale_factor=2.0), (1, 1)),
    "sorting": lambda: (R(4).sort(), R(4).topk(2), R(4).argmax(), R(4).cumsum(0)),
    "creation": lambda: (torch.zeros_like(R(3)), torch.arange(3), R(2).new_ones(2), torch.eye(2)),
    "conditions": lambda: torch.where(R(3) > 0, R(3), ~(R(3) <= 1) & torch.ones(3).bool()),
    "outer": lambda: torch.outer(R(2), R(3)),
    "special": lambda: torch.special.expit(torch.special.erfinv(R(3).clamp(-0.5, 0.5))),
}


@pytest.mark.parametrize("call", FREELY.values(), ids=FREELY)
def test_what_multiplies_no_matrices_is_free(call: Callable[[], Any]):
    assert ours(call) == torchs(call) == 0


def test_every_name_is_one_of_torchs():
    homes = (torch, Tensor, F, torch._C._nn, nn.init, torch.ops.aten)
    spellings = ("{}", "{}_", "__{}__")
    # So `names` calls swapped operands; the shifts are `torch.fft.fftshift` and its inverse.
    ours_only = {"rdiv", "rpow", "fft_fftshift", "fft_ifftshift"}
    strange = [
        name
        for name in FREE - ours_only
        if not any(hasattr(home, form.format(name)) for home in homes for form in spellings)
    ]
    assert not strange


@pytest.mark.parametrize("call", [lambda: torch.linalg.svd(R(3, 3)), lambda: torch.fft.fft(R(4))])
def test_a_function_that_is_not_known_is_not_counted(call: Callable[[], Any]):
    with Costs() as mode:
        call()
    assert mode.seen[-1][1] is None


SHAPES = st.lists(st.lists(st.integers(0, 4), max_size=5).map(tuple), max_size=7)
ARGUMENTS = st.dictionaries(
    st.sampled_from(["equation", "dims", "transposed", "add_zero_attn"]),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 5),
        st.sampled_from(["ij,jk->ik", "...", "->", ",", "...i,i...->..."]),
        st.lists(st.lists(st.integers(-5, 5), max_size=3), max_size=3),
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(costs._FORMULAS)), ARGUMENTS, SHAPES, SHAPES)
def test_no_shapes_and_no_arguments_raise(name, arguments, taken, made):
    count = costs.flops(name, arguments, taken, made)
    assert count is None or count >= 0


@pytest.mark.parametrize(
    ("name", "taken", "made"),
    [
        ("linear", [(2, 3), (4, 5)], (2, 4)),
        ("matmul", [(2, 3), (4, 5)], (2, 5)),
        ("matmul", [(2, 3), (3, 5)], (7, 2, 5)),
        ("addbmm", [(3, 5), (2, 3, 4), (1, 4, 5)], (3, 5)),
        ("inner", [(2, 3), (4, 5)], (2, 4)),
        ("tensordot", [(2, 3), (4, 5)], ()),
        ("conv2d", [(1, 3, 8, 8), (4, 3, 3, 3)], (1, 5, 6, 6)),
        ("conv2d", [(1, 3, 8, 8), (4, 3)], (1, 4, 6, 6)),
        ("scaled_dot_product_attention", [(5, 8), (6, 7), (6, 8)], (5, 8)),
        ("multi_head_attention_forward", [(5, 8), (6, 8), (7, 8)], (5, 8)),
        ("lstm", [(5, 2, 3), (1, 2, 4), (1, 2, 4), (16, 5), (16, 4)], (5, 2, 4)),
        ("gru_cell", [(2, 3), (2, 4), (12, 4), (12, 4)], (2, 4)),
    ],
)
def test_shapes_that_do_not_fit_are_not_counted(name: str, taken: Any, made: Any):
    assert costs.flops(name, {}, taken, [made]) is None


class Vision(nn.Module):
    """Patches by convolution, a transformer, a recurrent layer and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.GELU())
        self.narrow = nn.Conv2d(8, 16, 2, 2, groups=2)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.memory = nn.GRU(16, 12, bidirectional=True, batch_first=True)
        self.head = nn.Linear(24, 5)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.narrow(self.patches(images)).flatten(2).transpose(1, 2)
        steps, _ = self.memory(self.encoder(rows))
        scores = torch.einsum("bld,bmd->blm", steps, steps) / steps.shape[-1] ** 0.5
        return self.head((scores.softmax(-1) @ steps).mean(1))


@pytest.mark.parametrize("training", [True, False])
def test_a_whole_model_counts_as_in_torch(training: bool):
    model, images = Vision().train(training), R(2, 3, 16, 16)
    counted = ours(lambda: model(images))
    # The fast path of an encoder in eval mode is off under a function mode.
    assert counted == torchs(lambda: model(images))
    first = 2 * prod((2, 8, 8, 8)) * 3 * 3 * 3
    assert counted > first

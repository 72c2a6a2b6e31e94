"""The mask inside attention or a recurrent layer, applied by hand, gives the real output."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import pipetrace as pt
from pipetrace.capture.flags import interval
from pipetrace.parts import Mask
from pipetrace.records import Capture
from pipetrace.summarise import ROW


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function, **inside: nn.Module):
        super().__init__()
        self.function = function
        for name, module in inside.items():
            self.add_module(name, module)

    def forward(self, *args, **kwargs):
        return self.function(*args, **kwargs)


def trace(model: nn.Module, *args, seed: int = 0, sample: int = 0, **kwargs):
    """Trace a call; return its output, and the ops that say something of a mask."""
    torch.manual_seed(seed)
    with pt.options(sample=sample):
        run = pt.trace(model, *args, **kwargs)
    assert run.recording.last(Capture).receipt.equal
    return run.output, [op for op in run.ops if op.mask or op.mask_missing]


class Drawn:
    """Drops by hand, in the order of the calls, and keeps the flags."""

    def __init__(self, p: float, seed: int = 0):
        self.p, self.flags = p, []
        torch.manual_seed(seed)

    def __call__(self, given: torch.Tensor) -> torch.Tensor:
        # In the order of memory: the flags of a transposed tensor are drawn as it lies there.
        mask = F.dropout(torch.ones_like(given), self.p)
        self.flags.append(mask != 0)
        return given * mask


def agrees(mask: Mask, kept: torch.Tensor, p: float, row: torch.Tensor | None = None):
    """Compare a mask with flags; `row` are those of the sample, where there is one."""
    assert (mask.kept, mask.total) == (int(kept.sum()), kept.numel())
    assert (mask.low, mask.high) == interval(kept.numel(), 1 - p)
    assert mask.p == p
    assert mask.scale == (pytest.approx(1 / (1 - p)) if p < 1 else 0)
    assert mask.unit == "elements"
    shown = kept if row is None else row
    assert mask.row == tuple(shown.reshape(-1)[:ROW].tolist())


def by_hand(query, key, value, drop, *, allowed=None, causal=False, grouped=False):
    """Scaled dot product attention in five lines, in float32."""
    query, key, value = (tensor.float() for tensor in (query, key, value))
    if grouped:
        times = query.shape[-3] // key.shape[-3]
        key, value = (tensor.repeat_interleave(times, -3) for tensor in (key, value))
    scores = query @ key.mT / query.shape[-1] ** 0.5
    if causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)
    if allowed is not None:
        if allowed.dtype == torch.bool:
            allowed = torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf)
        scores = scores + allowed.float()
    return drop(scores.softmax(-1)) @ value


def shapes(*sizes):
    torch.manual_seed(1)
    return tuple(torch.randn(size) for size in sizes)


FOUR = (2, 3, 5, 4)
ALLOWED = torch.ones(5, 5).tril().bool()
ATTENTIONS = {
    "4-D": ((FOUR,) * 3, {}),
    "3-D": (((2, 5, 4),) * 3, {}),
    "2-D": (((5, 4),) * 3, {}),
    "causal": ((FOUR,) * 3, {"causal": True}),
    "bool mask": ((FOUR,) * 3, {"allowed": ALLOWED}),
    "float mask": ((FOUR,) * 3, {"allowed": torch.linspace(-2, 2, 25).reshape(5, 5)}),
    "grouped": (((2, 4, 5, 4), (2, 2, 5, 4), (2, 2, 5, 4)), {"grouped": True}),
    "keys longer than values are wide": (((2, 3, 5, 4), (2, 3, 9, 4), (2, 3, 9, 2)), {}),
    "values wider than keys are long": (((2, 3, 5, 4), (2, 3, 3, 4), (2, 3, 3, 8)), {}),
    "keys for all rows": (((2, 3, 5, 4), (1, 3, 6, 4), (1, 3, 6, 4)), {}),
    "large": (((2, 4, 120, 8),) * 3, {}),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", ATTENTIONS)
def test_the_dropout_in_attention(name: str, dtype: torch.dtype):
    sizes, how = ATTENTIONS[name]
    given = tuple(tensor.to(dtype) for tensor in shapes(*sizes))
    allowed = how.get("allowed")
    bias = allowed if allowed is None or allowed.dtype == torch.bool else allowed.to(dtype)
    settings = {"is_causal": how.get("causal", False), "enable_gqa": how.get("grouped", False)}
    model = Call(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, bias, 0.3, **settings))
    output, (op,) = trace(model, *given, sample=1)
    drop = Drawn(0.3)
    expected = by_hand(*given, drop, **{**how, "allowed": bias})
    exact = {torch.bfloat16: 0.05, torch.float32: 1e-5, torch.float64: 1e-5}[dtype]
    assert torch.allclose(output.float(), expected, rtol=exact, atol=exact)
    (kept,) = drop.flags
    agrees(op.mask, kept, 0.3, kept[1])


@pytest.mark.parametrize("names", list(itertools.permutations(["query", "key", "value"])))
def test_attention_by_keyword_in_any_order(names: tuple[str, ...]):
    given = dict(zip(("query", "key", "value"), shapes((2, 5, 4), (2, 7, 4), (2, 7, 3)),
                     strict=True))  # fmt: skip
    allowed = torch.ones(5, 7).tril().bool()

    def attend(**tensors):
        ordered = {"attn_mask": allowed, **{name: tensors[name] for name in names}}
        return F.scaled_dot_product_attention(**ordered, dropout_p=0.5)

    output, (op,) = trace(Call(attend), **given)
    drop = Drawn(0.5)
    expected = by_hand(*given.values(), drop, allowed=allowed)
    assert torch.allclose(output, expected, atol=1e-6)
    agrees(op.mask, drop.flags[0], 0.5, drop.flags[0][0])


def test_attention_that_drops_all_or_nothing():
    given = shapes(*(((2, 3, 5, 4),) * 3))
    output, (op,) = trace(Call(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, None, 1.0)),
                          *given)  # fmt: skip
    assert not output.any()
    agrees(op.mask, torch.zeros(2, 3, 5, 5, dtype=torch.bool), 1.0)
    _, none = trace(Call(F.scaled_dot_product_attention), *given)
    assert none == []


def attend(layer: nn.MultiheadAttention, x, memory, drop, *, padding=None, causal=False):
    """Multi-head attention by hand, batch first; returns the output and the dropped weights."""
    weights, biases = layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3)
    query, key, value = (
        F.linear(given, weight, bias)
        for given, weight, bias in zip((x, memory, memory), weights, biases, strict=True)
    )
    allowed = torch.ones(len(x), 1, 1, key.shape[1], dtype=torch.bool)
    if padding is not None:
        allowed = ~padding[:, None, None, :]
    if causal:
        allowed = allowed & torch.ones(x.shape[1], x.shape[1]).tril().bool()
    if layer.bias_k is not None:
        key = torch.cat([key, layer.bias_k.expand(len(x), 1, -1)], 1)
        value = torch.cat([value, layer.bias_v.expand(len(x), 1, -1)], 1)
        allowed = F.pad(allowed, (0, 1), value=True)
    heads = [t.unflatten(-1, (layer.num_heads, -1)).transpose(1, 2) for t in (query, key, value)]
    kept = []
    output = by_hand(*heads, lambda w: kept.append(drop(w)) or kept[0], allowed=allowed)
    # It computes with the time first.
    return layer.out_proj(output.permute(2, 0, 1, 3).flatten(2)).transpose(0, 1), kept[0]


PADDING = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])


@pytest.mark.parametrize("padding", [None, PADDING], ids=["all", "padded"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("weights", [False, True])
def test_multihead_attention(weights: bool, batch_first: bool, bias: bool, padding):
    torch.manual_seed(2)
    layer = nn.MultiheadAttention(8, 2, dropout=0.4, add_bias_kv=bias, batch_first=batch_first)
    x = torch.randn(2, 5, 8)
    given = x if batch_first else x.transpose(0, 1)
    (output, told), (op,) = trace(layer, given, given, given, key_padding_mask=padding,
                                  need_weights=weights)  # fmt: skip
    drop = Drawn(0.4)
    expected, dropped = attend(layer, x, x, drop, padding=padding)
    assert torch.allclose(output if batch_first else output.transpose(0, 1), expected, atol=1e-6)
    (kept,) = drop.flags
    if weights:
        assert torch.allclose(told, dropped.mean(1), atol=1e-6)
        assert op.function == "dropout"
        # Rows and heads are one dimension here, as in the op's own output.
        agrees(op.mask, kept, 0.4)
    else:
        assert op.function == "scaled_dot_product_attention"
        agrees(op.mask, kept, 0.4, kept[0] if batch_first else None)


def encode(layer: nn.TransformerEncoderLayer, x, drop):
    mixed, _ = attend(layer.self_attn, x, x, drop)
    x = layer.norm1(x + drop(mixed))
    inner = layer.linear2(drop(F.relu(layer.linear1(x))))
    return layer.norm2(x + drop(inner))


def decode(layer: nn.TransformerDecoderLayer, x, memory, drop):
    mixed, _ = attend(layer.self_attn, x, x, drop)
    x = layer.norm1(x + drop(mixed))
    mixed, _ = attend(layer.multihead_attn, x, memory, drop)
    x = layer.norm2(x + drop(mixed))
    inner = layer.linear2(drop(F.relu(layer.linear1(x))))
    return layer.norm3(x + drop(inner))


@pytest.mark.parametrize("layers", [1, 2])
def test_every_dropout_of_a_transformer_in_train_mode(layers: int):
    torch.manual_seed(3)
    model = nn.Transformer(8, 2, layers, layers, 16, dropout=0.2, batch_first=True)
    source, target = torch.randn(2, 5, 8), torch.randn(2, 3, 8)
    output, ops = trace(model, source, target)
    drop = Drawn(0.2)
    memory = source
    for layer in model.encoder.layers:
        memory = encode(layer, memory, drop)
    memory, x = model.encoder.norm(memory), target
    for layer in model.decoder.layers:
        x = decode(layer, x, memory, drop)
    assert torch.allclose(output, model.decoder.norm(x), atol=1e-5)
    assert len(ops) == layers * (4 + 6)
    for op, kept in zip(ops, drop.flags, strict=True):
        # torch.dropout measures its scale, in float32.
        agrees(op.mask, kept, 0.2, kept[0])
        assert op.module.startswith(("encoder.layers", "decoder.layers"))


def test_an_encoder_layer_alone():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)
    x = torch.randn(2, 4, 8)
    output, ops = trace(layer, x, sample=1)
    drop = Drawn(0.5)
    assert torch.allclose(output, encode(layer, x, drop), atol=1e-5)
    for op, kept in zip(ops, drop.flags, strict=True):
        agrees(op.mask, kept, 0.5, kept[1])
    assert trace(layer.eval(), x)[1] == []


def recur(model: nn.RNNBase, x, drop):
    """Run a recurrent network one layer at a time; `x` has the time first, or is packed."""
    ways = 2 if model.bidirectional else 1
    extra = {"nonlinearity": model.nonlinearity} if isinstance(model, nn.RNN) else {}
    if getattr(model, "proj_size", 0):
        extra["proj_size"] = model.proj_size
    for number in range(model.num_layers):
        first = model.weight_ih_l0 if number == 0 else getattr(model, f"weight_ih_l{number}")
        layer = type(model)(first.shape[1], model.hidden_size, bidirectional=ways == 2,
                            dtype=first.dtype, **extra)  # fmt: skip
        own = {name.replace("_l0", f"_l{number}"): value for name, value in
               layer.named_parameters()}  # fmt: skip
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(getattr(model, name))
        state = torch.get_rng_state()
        x, _ = layer(x)
        assert torch.equal(torch.get_rng_state(), state)
        if number < model.num_layers - 1:
            packed = isinstance(x, nn.utils.rnn.PackedSequence)
            x = x._replace(data=drop(x.data)) if packed else drop(x)
    return x


def build(kind, layers: int, p: float, **settings) -> nn.RNNBase:
    torch.manual_seed(4)
    return kind(5, 4, layers, dropout=p, **settings)


class Prepared(Drawn):
    """Draws from the same seed, however much making the layers has drawn."""

    def __init__(self, p: float):
        super().__init__(p)
        self.state = torch.get_rng_state()

    def __call__(self, given: torch.Tensor) -> torch.Tensor:
        before = torch.get_rng_state()
        torch.set_rng_state(self.state)
        dropped = super().__call__(given)
        self.state = torch.get_rng_state()
        torch.set_rng_state(before)
        return dropped


KINDS = {
    "LSTM": (nn.LSTM, {}),
    "LSTM with projections": (nn.LSTM, {"proj_size": 3}),
    "GRU": (nn.GRU, {}),
    "RNN": (nn.RNN, {}),
    "RNN with ReLU": (nn.RNN, {"nonlinearity": "relu"}),
}
# PyTorch says once in a process which layers oneDNN does not know.
onednn = pytest.mark.filterwarnings("ignore:.*oneDNN")
CLOSE = {torch.float32: 1e-5, torch.float64: 1e-8, torch.bfloat16: 0.05}


@onednn
@pytest.mark.parametrize(
    ("dtype", "grad"), [*((dtype, False) for dtype in CLOSE), (torch.float32, True)]
)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("name", KINDS)
def test_the_dropout_between_recurrent_layers(
    name: str, layers: int, both_ways: bool, batch_first: bool, dtype: torch.dtype, grad: bool
):
    """With oneDNN (float32, bfloat16) and without it (float64) the flags are drawn alike."""
    kind, settings = KINDS[name]
    model = build(kind, layers, 0.3, bidirectional=both_ways, batch_first=batch_first,
                  dtype=dtype, **settings)  # fmt: skip
    x = torch.randn(2, 3, 5, dtype=dtype)
    with torch.set_grad_enabled(grad):
        (output, *_), (op,) = trace(model, x if batch_first else x.transpose(0, 1), sample=1)
        drop = Prepared(0.3)
        expected = recur(model, x.transpose(0, 1), drop)
    output = output.transpose(0, 1) if batch_first else output
    assert torch.allclose(output, expected, rtol=CLOSE[dtype], atol=CLOSE[dtype])
    kept = torch.stack(drop.flags)
    agrees(op.mask, kept, 0.3, kept[:, :, 1] if batch_first else kept[:, 1])


@onednn
@pytest.mark.parametrize("name", KINDS)
def test_recurrent_layers_without_onednn(name: str):
    kind, settings = KINDS[name]
    model = build(kind, 3, 0.5, **settings)
    x = torch.randn(6, 2, 5)
    with torch.backends.mkldnn.flags(enabled=False):
        (output, *_), (op,) = trace(model, x)
        drop = Prepared(0.5)
        assert torch.allclose(output, recur(model, x, drop), atol=1e-6)
    agrees(op.mask, kept := torch.stack(drop.flags), 0.5, kept[:, 0])


@onednn
@pytest.mark.parametrize("name", KINDS)
def test_recurrent_layers_on_packed_sequences(name: str):
    kind, settings = KINDS[name]
    model = build(kind, 3, 0.3, bidirectional=True, **settings)
    packed = nn.utils.rnn.pack_padded_sequence(torch.randn(4, 3, 5), torch.tensor([4, 3, 1]))
    (output, *_), (op,) = trace(model, packed)
    drop = Prepared(0.3)
    assert torch.allclose(output.data, recur(model, packed, drop).data, atol=1e-5)
    kept = torch.stack(drop.flags)
    agrees(op.mask, kept, 0.3, kept[:, 0])
    told = {argument.name: argument.value for argument in op.arguments}
    assert (told["num_layers"], told["dropout"], told["bidirectional"]) == ("3", "0.3", "True")
    assert "batch_first" not in told


@onednn
@pytest.mark.parametrize("name", KINDS)
def test_one_sequence_without_a_batch(name: str):
    kind, settings = KINDS[name]
    model = build(kind, 2, 0.3, **settings)
    x = torch.randn(6, 5)
    (output, *_), (op,) = trace(model, x, sample=2)
    drop = Prepared(0.3)
    assert torch.allclose(output, recur(model, x[:, None], drop)[:, 0], atol=1e-5)
    (kept,) = drop.flags
    agrees(op.mask, kept[None], 0.3, kept[2])


def test_a_batch_that_a_model_turns_keeps_its_row():
    model = build(nn.GRU, 3, 0.3)
    x = torch.randn(3, 6, 5)
    (output, *_), (op,) = trace(Call(lambda x: model(x.transpose(0, 1)), model=model), x, sample=2)
    drop = Prepared(0.3)
    assert torch.allclose(output, recur(model, x.transpose(0, 1), drop), atol=1e-6)
    kept = torch.stack(drop.flags)
    agrees(op.mask, kept, 0.3, kept[:, :, 2])


def test_a_large_batch():
    model = build(nn.LSTM, 3, 0.1)
    x = torch.randn(70, 250, 5)
    (output, *_), (op,) = trace(model, x)
    drop = Prepared(0.1)
    assert torch.allclose(output, recur(model, x, drop), atol=1e-5)
    agrees(op.mask, kept := torch.stack(drop.flags), 0.1, kept[:, 0])
    assert kept[0].numel() > 1 << 16


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_that_drop_all_or_nothing(kind):
    x = torch.randn(6, 2, 5)
    _, (op,) = trace(build(kind, 3, 1.0), x)
    agrees(op.mask, torch.zeros(2, 6, 2, 4, dtype=torch.bool), 1.0, torch.zeros(16).bool())
    assert trace(build(kind, 3, 0.0), x)[1] == []
    assert trace(build(kind, 3, 0.3).eval(), x)[1] == []
    with pytest.warns(UserWarning, match="adds dropout after all but last"):
        single = build(kind, 1, 0.3)
    assert trace(single, x)[1] == [], "one layer has none to give to"


def test_where_nothing_is_computed_nothing_is_dropped():
    x = torch.randn(2, 3, 4, device="meta")
    assert trace(Call(lambda x: F.scaled_dot_product_attention(x, x, x, None, 0.5)), x)[1] == []
    assert trace(nn.GRU(4, 4, 2, dropout=0.5, device="meta"), x)[1] == []

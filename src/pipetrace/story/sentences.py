"""Each operation that is described has its sentence here, under the name PyTorch gives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipetrace.records import Op
from pipetrace.story.figures import plural, setting, shape, whole

Sentence = Callable[[Op], str]
SENTENCES: dict[str, Sentence] = {}
FIXED = {
    "relu": "Negative values become 0, the others pass unchanged.",
    "relu6": "Values below 0 become 0, values above 6 become 6.",
    "gelu": "Each value x becomes x × Φ(x), Φ being the normal distribution function: large "
    "values pass nearly unchanged, very negative ones come close to 0.",
    "silu": "Each value x becomes x × sigmoid(x).",
    "mish": "Each value x becomes x × tanh(ln(1 + e^x)).",
    "sigmoid": "Each value x becomes 1/(1 + e^−x), which lies between 0 and 1.",
    "logsigmoid": "Each value x becomes ln(1/(1 + e^−x)), which lies below 0.",
    "tanh": "Each value x becomes tanh(x), which lies between −1 and 1.",
    "softplus": "Each value x becomes ln(1 + e^x), which lies above 0.",
    "selu": "Positive values are multiplied by 1.0507; a negative x becomes 1.7581 × (e^x − 1).",
    "hardswish": "A piecewise approximation of x × sigmoid(x).",
    "hardsigmoid": "A piecewise linear approximation of the sigmoid.",
    "exp": "Each value x becomes e^x.",
    "log": "Each value becomes its natural logarithm.",
    "sqrt": "Each value becomes its square root.",
    "rsqrt": "Each value x becomes 1/√x.",
    "abs": "Each value loses its sign.",
    "neg": "Each value changes its sign.",
    "sin": "Each value becomes its sine.",
    "cos": "Each value becomes its cosine.",
    "square": "Each value is multiplied by itself.",
    "empty": "Reserves memory and writes nothing: its values are what happened to be there.",
    "clone": "Copies the tensor: the same values in storage of their own.",
    "contiguous": "Copies the values into one unbroken block where they were not in one already.",
    "where": "Takes each element from one of two tensors, as a condition says.",
    "one_hot": "Each class number becomes a row with a single 1.",
    "identity": "Passes its input on unchanged.",
    "gather": "Picks the elements at the given positions.",
    "index_select": "Picks the given rows of a dimension.",
    "einsum": "Multiplies and sums over dimensions that share a letter.",
    "interpolate": "Resizes the tensor by interpolating between its values.",
    "pad": "Adds a margin around the tensor.",
    "logical_not": "Turns true into false and false into true.",
    "logical_and": "Marks where both are true.",
    "logical_or": "Marks where at least one is true.",
    "triu": "Keeps what lies on and above the diagonal, the rest becomes 0.",
    "tril": "Keeps what lies on and below the diagonal, the rest becomes 0.",
    "cumsum": "Each element becomes the sum of those up to it.",
    "erf": "Each value x becomes the error function of x.",
    "reciprocal": "Each value x becomes 1/x.",
    "isnan": "Marks the elements that are NaN.",
    "repeat": "Repeats the tensor along its dimensions.",
    "normalize": "Divides each vector by its norm, so that its length becomes 1.",
    "cosine_similarity": "The cosine of the angle between pairs of vectors.",
}
PAIRS = {
    "add": ("Adds two tensors element by element.", "Adds {} to each element."),
    "sub": ("Subtracts one tensor from the other.", "Subtracts {} from each element."),
    "rsub": ("Subtracts one tensor from the other.", "Subtracts each element from {}."),
    "mul": ("Multiplies two tensors element by element.", "Multiplies each element by {}."),
    "div": ("Divides one tensor by the other.", "Divides each element by {}."),
    "rdiv": ("Divides one tensor by the other.", "Divides {} by each element."),
    "rpow": (
        "Raises one tensor to the powers in the other.",
        "Raises {} to the power of each element.",
    ),
    "pow": ("Raises one tensor to the powers in the other.", "Raises each element to power {}."),
    "maximum": ("Keeps the larger of each pair of elements.", "Raises elements below {0} to {0}."),
    "minimum": ("Keeps the smaller of each pair of elements.", "Cuts elements above {0} to {0}."),
    "eq": ("Marks where two tensors are equal.", "Marks the elements equal to {}."),
    "ne": ("Marks where two tensors differ.", "Marks the elements other than {}."),
    "lt": ("Marks where the first is smaller.", "Marks the elements below {}."),
    "gt": ("Marks where the first is larger.", "Marks the elements above {}."),
    "le": ("Marks where the first is not larger.", "Marks the elements of at most {}."),
    "ge": ("Marks where the first is not smaller.", "Marks the elements of at least {}."),
}
LOSSES = {
    "cross_entropy": "the mean over the rows of −ln(the probability given to the true class)",
    "nll_loss": "the mean over the rows of −(the log-probability given to the true class)",
    "mse_loss": "the mean of the squared differences between output and target",
    "l1_loss": "the mean of the absolute differences between output and target",
    "smooth_l1_loss": "squared for small differences, absolute for large ones",
    "huber_loss": "squared for small differences, absolute for large ones",
    "binary_cross_entropy": "the mean of −ln(the probability given to the true answer)",
    "binary_cross_entropy_with_logits": "the mean of −ln(the probability given to the true "
    "answer), with the sigmoid inside",
    "kl_div": "the Kullback-Leibler divergence",
}
_PLAIN = {"stride": "1", "padding": "0", "dilation": "1", "groups": "1"}


def plain_name(function: str) -> str:
    """Return a function's name without underscores around it: `relu_` and `relu` are one."""
    return function.strip("_")


def argument(op: Op, name: str) -> str | None:
    """Return the text of an argument, or None where it was not recorded."""
    return next((item.value for item in op.arguments if item.name == name), None)


def real(op: Op, name: str) -> float | None:
    """Return an argument as a number, or None where it is none."""
    try:
        return float(argument(op, name) or "")
    except ValueError:
        return None


def says(*functions: str) -> Callable[[Sentence], Sentence]:
    """Register the sentence of some functions, named as PyTorch names them."""

    def register(sentence: Sentence) -> Sentence:
        SENTENCES.update(dict.fromkeys(functions, sentence))
        return sentence

    return register


def _size(op: Op, position: int, dimension: int) -> str:
    """Write one size of an input, or nothing where it is unknown."""
    try:
        return whole(op.input_shapes[position][dimension])
    except IndexError:
        return ""


def _out(op: Op, dimension: int) -> str:
    try:
        return whole(op.outputs[0].shape[dimension])
    except IndexError:
        return ""


def _window(op: Op, name: str = "kernel_size") -> str:
    """Write a window's sizes; one size stands for all dimensions: 2 becomes `2 × 2`."""
    sizes = _several(argument(op, name) or argument(op, "argument 2"))
    dimensions = plain_name(op.function)[-2:]
    if len(sizes) == 1 and dimensions in ("2d", "3d"):
        sizes = list(sizes) * int(dimensions[0])
    return " × ".join(sizes)


def _several(value: str | None) -> Sequence[str]:
    return [part.strip() for part in (value or "").strip("()[]").split(",") if part.strip()]


def choose(op: Op, tensors: str, scalar: str) -> str:
    """Return the sentence for two tensors, or the one for a tensor with a number."""
    if len(op.input_shapes) >= 2:
        return tensors
    for name in ("other", "exponent", "value", "self", "argument 2"):
        if argument(op, name) is not None:
            return scalar.format(argument(op, name))
    return tensors if not op.input_shapes else scalar.format("a number")


@says("linear")
def _linear(op: Op) -> str:
    ins, outs = _size(op, 0, -1), _out(op, -1)
    bias = len(op.input_shapes) > 2
    if not ins or not outs:
        return "Each output is a weighted sum of the inputs."
    biases = "1 bias" if outs == "1" else f"{outs} biases"
    held = f"{outs} × {ins} weights" + (f" and {biases}" if bias else ", no bias")
    which = "The one output" if outs == "1" else f"Each of {outs} outputs"
    sum_of = "1 input" if ins == "1" else f"{ins} inputs"
    return f"{which} is a weighted sum of {sum_of}{' plus a bias' if bias else ''}: {held}."


@says("dropout", "feature_dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
      "feature_alpha_dropout")  # fmt: skip
def _dropout(op: Op) -> str:
    p, training = real(op, "p"), argument(op, "training") or argument(op, "train")
    if op.mask is not None:
        p = op.mask.p
    if training == "False" or (training is None and op.training is False and op.mask is None):
        rate = "" if p is None else f" p = {setting(p)} has no effect here."
        return f"Switched off: the input passes unchanged.{rate}"
    if p is None:
        return "Sets randomly chosen elements to 0 and scales up the others."
    plain = plain_name(op.function)
    unit = "whole channel" if plain[-1] == "d" or plain.startswith("feature") else "element"
    odd = " although its module is in eval mode" if op.training is False else ""
    if p == 0:
        return f"p = 0: no {unit} is dropped, the input passes unchanged."
    if p == 1:
        return f"p = 1: every {unit} is set to 0."
    if "alpha" in plain:
        return (
            f"Each {unit} is replaced by a fixed negative value with probability {setting(p)}, "
            f"independently of the others{odd}; then all are rescaled to keep mean and variance."
        )
    return (
        f"Each {unit} is set to 0 with probability {setting(p)}, independently of the others"
        f"{odd}; those that stay are multiplied by 1/(1−{setting(p)}) = {1 / (1 - p):.4g}."
    )


@says("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _convolution(op: Op) -> str:
    channel = -1 - int(plain_name(op.function)[-2])
    count, channels = (
        _plural(_out(op, channel), "filter"),
        _plural(_size(op, 0, channel), "channel"),
    )
    window = shape(op.input_shapes[1][2:]) if len(op.input_shapes) > 1 else _window(op)
    extra = "; ".join(
        f"{name} {' × '.join(_several(value))}"
        for name in _PLAIN
        if (value := argument(op, name)) and set(_several(value)) != {_PLAIN[name]}
    )
    kind = "Spreads" if "transpose" in op.function else "Slides"
    return (
        f"{kind} {count} of {window} over {channels}: each output is a "
        f"weighted sum over one window{'; ' + extra if extra else ''}."
    )


def _plural(count: str, noun: str) -> str:
    return f"1 {noun}" if count == "1" else f"{count} {noun}s".strip()


@says("max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d")
def _largest(op: Op) -> str:
    window = _window(op)
    return f"Keeps the largest value of each {window + ' ' if window else ''}window."


@says("avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
      "adaptive_avg_pool3d")  # fmt: skip
def _average(op: Op) -> str:
    if op.function.startswith("adaptive") and argument(op, "output_size"):
        return f"Averages over windows chosen so that {_window(op, 'output_size')} values are left."
    window = _window(op)
    return f"Averages each {window + ' ' if window else ''}window."


@says("batch_norm", "instance_norm")
def _batch_norm(op: Op) -> str:
    training = argument(op, "training") or argument(op, "use_input_stats")
    rows = _size(op, 0, 0)
    if training == "False" or (training is None and op.training is False):
        return "Shifts and scales each channel with the running mean and variance it has stored."
    if op.function == "instance_norm":
        return "Shifts and scales each channel of each row with its own mean and variance."
    batch = f" of {rows} rows" if rows else ""
    return f"Shifts and scales each channel with the mean and variance of this batch{batch}."


@says("layer_norm", "rms_norm")
def _layer_norm(op: Op) -> str:
    values = "× ".join(_several(argument(op, "normalized_shape"))) or _size(op, 0, -1)
    if op.function == "rms_norm":
        return f"Divides each vector of {values} values by its root mean square."
    return (
        f"Shifts and scales each vector of {values} values to mean 0 and variance 1"
        f"{', then by a learned weight and bias' if len(op.input_shapes) > 1 else ''}."
    )


@says("group_norm")
def _group_norm(op: Op) -> str:
    groups = argument(op, "num_groups")
    return f"Shifts and scales {groups or 'several'} groups of channels, each row by itself."


@says("embedding", "embedding_bag")
def _embedding(op: Op) -> str:
    weight = next((sizes for sizes in op.input_shapes[1:] if len(sizes) == 2), ())
    if not weight:
        return "Looks up a row of a learned table for each number."
    return (
        f"Looks up {whole(weight[1])} values for each number, in a table of "
        f"{plural(weight[0], 'row')}."
    )


@says("softmax", "log_softmax", "softmin", "gumbel_softmax")
def _softmax(op: Op) -> str:
    dim = argument(op, "dim")
    along = f"Along dimension {dim}, each" if dim and dim != "None" else "Each"
    if plain_name(op.function) == "log_softmax":
        return f"{along} value becomes the logarithm of its softmax share."
    return f"{along} value x becomes e^x divided by the sum of all e^x: shares that add up to 1."


@says("scaled_dot_product_attention")
def _attention(op: Op) -> str:
    width = _size(op, 0, -1)
    causal = ", looking back only" if argument(op, "is_causal") == "True" else ""
    rate = real(op, "dropout_p") or 0.0
    drop = f" Shares are dropped with p = {setting(rate)}." if rate else ""
    root = f" / √{width}" if width else ""
    return (
        "For each position, a mean of the values weighted by "
        f"softmax(query · key{root}){causal}.{drop}"
    )


@says("multi_head_attention_forward")
def _multi_head(op: Op) -> str:
    heads = argument(op, "num_heads")
    count = f"{heads} heads" if heads else "several heads"
    rate = real(op, "dropout_p") or 0.0
    drop = f" Shares are dropped with p = {setting(rate)}." if rate else ""
    return f"Attention with {count} as one operation: what happens inside was not traced.{drop}"


@says("lstm", "gru", "rnn_tanh", "rnn_relu")
def _recurrent(op: Op) -> str:
    kind = {"lstm": "an LSTM", "gru": "a GRU"}.get(plain_name(op.function), "a recurrent layer")
    layers = argument(op, "num_layers") or "1"
    deep = f" of {layers} layers" if layers != "1" else ""
    return (
        f"Runs {kind}{deep} over the sequence as one operation: what happens inside was not traced."
    )


@says("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def _cell(op: Op) -> str:
    return "One step of a recurrent layer, as one operation."


@says("leaky_relu", "prelu", "rrelu", "elu", "celu")
def _leaky(op: Op) -> str:
    slope = argument(op, "negative_slope")
    if plain_name(op.function) in ("elu", "celu"):
        alpha = argument(op, "alpha") or 1
        return f"Positive values pass; a negative x becomes {alpha} × (e^x − 1)."
    return f"Negative values are multiplied by {slope or 'a slope'}, the others pass unchanged."


@says("matmul", "addmm")
def _matmul(op: Op) -> str:
    pair = op.input_shapes[-2:]
    sizes = f": {shape(pair[0])} by {shape(pair[1])}" if len(pair) == 2 else ""
    return f"Multiplies two matrices{sizes}."


@says("cat", "stack")
def _join(op: Op) -> str:
    count = plural(len(op.input_shapes), "tensor") if op.input_shapes else "tensors"
    dim = argument(op, "dim") or "0"
    if op.function == "stack":
        return f"Stacks {count} along a new dimension {dim}."
    return f"Joins {count} along dimension {dim}."


@says("view", "reshape", "flatten", "unflatten", "ravel", "squeeze", "unsqueeze", "expand")
def _reshaped(op: Op) -> str:
    target = f" as {shape(op.outputs[0].shape)}" if op.outputs else ""
    return f"The same values{target}: nothing is computed."


@says("permute", "transpose", "t", "T", "mT", "swapaxes", "movedim")
def _turned(op: Op) -> str:
    return "The same values with their dimensions in another order."


@says("getitem", "select", "narrow", "chunk", "split", "unbind")
def _part(op: Op) -> str:
    return "Takes a part of the tensor."


@says("sum", "mean", "amax", "amin", "max", "min", "prod", "var", "std", "norm", "logsumexp")
def _reduced(op: Op) -> str:
    noun = {"amax": "largest value", "max": "largest value", "amin": "smallest value",
            "min": "smallest value", "prod": "product", "var": "variance",
            "std": "standard deviation"}.get(op.function, op.function)  # fmt: skip
    dim = argument(op, "dim")
    over = f"over dimension {dim}" if dim and dim != "None" else "over all elements"
    return f"Takes the {noun} {over}."


@says("argmax", "argmin")
def _position(op: Op) -> str:
    word = "largest" if op.function == "argmax" else "smallest"
    dim = argument(op, "dim")
    along = f" along dimension {dim}" if dim and dim != "None" else ""
    return f"Gives the position of the {word} value{along}."


@says("masked_fill")
def _masked(op: Op) -> str:
    value = argument(op, "value") or argument(op, "argument 3") or argument(op, "argument 2")
    return f"Sets the marked elements to {value or 'a value'}, the others pass unchanged."


@says("clamp", "hardtanh")
def _clamped(op: Op) -> str:
    low = argument(op, "min") or argument(op, "min_val")
    high = argument(op, "max") or argument(op, "max_val")
    limits = [
        f"{word} {value} become {value}"
        for word, value in (("below", low), ("above", high))
        if value not in (None, "None")
    ]
    return f"Values {' and those '.join(limits)}." if limits else "Cuts values off at limits."


@says("zeros", "ones", "full", "arange", "zeros_like", "ones_like", "full_like", "linspace", "eye")
def _made(op: Op) -> str:
    return "Makes a new tensor of constants."


@says("rand", "randn", "rand_like", "randn_like", "randint", "randperm", "bernoulli", "normal",
      "uniform")  # fmt: skip
def _drawn(op: Op) -> str:
    return "Draws random numbers."


@says("to", "float", "half", "type_as", "bfloat16", "double", "long", "int", "bool")
def _converted(op: Op) -> str:
    kind = f" to {op.outputs[0].dtype} on {op.outputs[0].device}" if op.outputs else ""
    return f"Converts the values{kind}."

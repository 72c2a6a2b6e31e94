"""What people believe about models in general that an executed line refutes."""

from __future__ import annotations

from pipetrace.lessons.registry import misconceptions

misconceptions(
    {
        "bias-forgotten": "a linear layer holds its matrix only.",
        "sum-for-product": "sizes are added where they should be multiplied.",
        "bias-per-input": "a linear layer has a bias for each input.",
        "matrix-twice": "a linear layer holds its matrix twice, for both directions.",
        "shape-of-weight": "the output has the shape of the weight.",
        "rows-last": "rows are the last dimension.",
        "shape-kept": "a layer never changes the shape.",
        "shapes-joined": "a layer appends its outputs to its inputs.",
        "rows-become-outputs": "the number of rows becomes the number of outputs.",
        "other-function": "all activation functions treat a negative number alike.",
        "no-activation": "an activation passes numbers on as they are.",
        "sign-lost": "an activation turns negative numbers into positive ones.",
        "mode-of-name": "any call that names a mode will do.",
        "any-epoch": "the held-out loss of an epoch says nothing about its weights.",
        "last-epoch-best": "the longer a model has trained, the better it is.",
        "plain-share": "softmax divides each score by the sum of the scores.",
        "sigmoid-for-softmax": "softmax looks at one score alone.",
        "uniform": "each class is equally probable.",
        "softmax-of-smallest": "the smallest score wins.",
        "one-dimension": "only one dimension of a tensor counts.",
        "bits-for-bytes": "a 32-bit number takes 32 bytes.",
        "double-precision": "numbers take 8 bytes in PyTorch unless told otherwise.",
        "byte-each": "a parameter takes one byte.",
        "grad-is-mode": "gradients and modes are one and the same switch.",
        "eval-frees-graph": "eval mode stops the recording of gradients.",
        "eval-freezes": "eval mode freezes the parameters.",
        "eval-changes-weights": "eval mode changes the weights.",
        "grad-replaced": "each backward pass replaces the gradients of the last.",
        "grad-averaged": "gradients of several backward passes are averaged.",
        "grad-cleared": "a second backward pass clears the gradients.",
    }
)

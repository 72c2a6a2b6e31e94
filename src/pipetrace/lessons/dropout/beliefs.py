"""What people believe about dropout that an executed line refutes."""

from __future__ import annotations

from pipetrace.lessons.registry import misconceptions

misconceptions(
    {
        "no-rescale": "dropout only sets elements to zero and leaves the others as they are.",
        "scale-inverted": "survivors are multiplied by 1 - p.",
        "p-is-keep": "p is the probability of keeping an element.",
        "p-is-added": "survivors grow by the share p.",
        "always-zero": "dropout sets every element of its input to zero.",
        "drops-in-eval": "dropout drops in eval mode too.",
        "scales-in-eval": "eval mode multiplies by 1 - p to make up for training.",
        "rescale-without-drop": "eval mode drops nothing but still multiplies by 1 / (1 - p).",
        "fixed-share": "every mask drops exactly the share p.",
        "fixed-mask": "the mask is drawn once, when the layer is made.",
        "one-draw-per-row": "each row loses the same number of elements.",
        "mode-mixed-up": "train mode switches dropout off and eval mode switches it on.",
        "mode-is-harmless": "the mode does not change the loss of the same weights.",
        "percent": "p is given in percent.",
        "other-keyword": "PyTorch's layer takes the keyword that other libraries use.",
        "has-weights": "dropout learns a weight for each element.",
        "has-matrix": "dropout holds a matrix like a linear layer.",
        "p-is-learned": "p is a parameter that training adjusts.",
        "removes-for-good": "a dropped unit stays away.",
        "skips-work": "dropped elements leave the computation.",
        "normalises": "dropout brings features to a common scale.",
        "fresh-is-eval": "a new layer does nothing until train() is called.",
        "no-grad-is-eval": "torch.no_grad() switches dropout off.",
        "detach-is-eval": "an input without gradients passes through dropout unchanged.",
        "functional-is-eval": "F.dropout does nothing unless told to train.",
        "train-once": "train() before the first epoch is enough, eval() in between or not.",
    }
)

"""The program in which a rule fires, with what its fix says written into it."""

from __future__ import annotations

from pipetrace.checks.registry import Rule

_EPOCHS = "for epoch in range(2):\n"
_CLEARED = "        optimizer.zero_grad()\n"
_LOSS = "        loss = F.cross_entropy(model(x[rows : rows + 16]), y[rows : rows + 16])\n"
_TRAINING = "        if self.training:\n            "
_JUDGED = "    with torch.no_grad():\n        print"

_FIXED: dict[str, list[tuple[str, str]]] = {
    "PTR101": [("(self.hidden(x)), 0.3)", "(self.hidden(x)), p=0.3, training=self.training)")],
    "PTR102": [("dropout_p=rate", "dropout_p=0.2 if self.training else 0.0")],
    "PTR103": [("        hidden = hidden *", f"{_TRAINING}hidden = hidden *")],
    "PTR104": [("nn.Dropout(0.3)(hidden)", "self.drop(hidden)"),
               ("(16, 3)\n", "(16, 3)\n        self.drop = nn.Dropout(0.3)\n")],
    "PTR105": [("[nn.Dropout(0.1), nn.Dropout(0.3)]",
                "nn.ModuleList([nn.Dropout(0.1), nn.Dropout(0.3)])")],
    "PTR106": [("F.dropout(F.relu(self.hidden(x)), 0.3, self.training)",
                "self.drop(F.relu(self.hidden(x)))"),
               ("(16, 3)\n", "(16, 3)\n        self.drop = nn.Dropout(0.3)\n")],
    "PTR107": [("        x = x +", f"{_TRAINING}x = x +")],
    "PTR201": [("nn.Dropout(1.0)", "nn.Dropout(0.5)")],
    "PTR202": [("nn.Dropout(keep)", "nn.Dropout(0.1)")],
    "PTR203": [("F.dropout(h, 0.3, self.training)", "h")],
    "PTR204": [("nn.Linear(16, 3),\n    nn.Dropout(0.2)", "nn.Dropout(0.2), nn.Linear(16, 3)")],
    "PTR205": [("nn.Dropout1d", "nn.Dropout")],
    "PTR206": [("dropout=0.3, ", ""), ("self.rnn(x)[0][:, -1]", "self.drop(self.rnn(x)[0][:, -1])"),
               ("(16, 3)\n", "(16, 3)\n        self.drop = nn.Dropout(0.3)\n")],
    "PTR207": [("(torch.rand_like(x) > 0.4)", "(torch.rand_like(x) > 0.4) / 0.6")],
    "PTR208": [("F.relu(self.inp(x))", "self.drop(F.relu(self.inp(x)))")],
    "PTR209": [("        self.drop(h)", "        h = self.drop(h)")],
    "PTR210": [("inplace=True", "inplace=False")],
    "PTR211": [("nn.ReLU(),\n    nn.Dropout(0.5),\n    nn.BatchNorm1d(16),",
                "nn.BatchNorm1d(16),\n    nn.ReLU(),\n    nn.Dropout(0.5),")],
    "PTR212": [("> 30)", "> 0.3) / 0.7")],
    "PTR301": [(_JUDGED, f"    model.eval()\n{_JUDGED}")],
    "PTR302": [("model.first.eval()", "model.eval()")],
    "PTR303": [("model.training = False", "model.eval()")],
    "PTR304": [(_EPOCHS, f"{_EPOCHS}    model.train()\n")],
    "PTR305": [(_EPOCHS, f"{_EPOCHS}    model.train()\n")],
    "PTR306": [("Adapter(model[0])\n", "Adapter(model[0])\nmodel.eval()\n")],
    "PTR401": [(", track_running_stats=False", "")],
    "PTR402": [("    model.train()\n    with", "    model.eval()\n    model[3].train()\n    with")],
    "PTR403": [("    model.train()\n", '    model.train()\n    model.get_submodule("1").eval()\n')],
    "PTR404": [("        self.mean.lerp_", f"{_TRAINING}self.mean.lerp_")],
    "PTR405": [("range(0, 48, 2)", "range(0, 48, 16)"), ("rows + 2", "rows + 16"),
               ("rows + 2", "rows + 16")],
    "PTR501": [(", preserve_rng_state=False", "")],
    "PTR502": [("        torch.manual_seed(42)\n", "")],
    "PTR503": [("    torch.manual_seed(1)\n", "")],
    "PTR504": [("torch.rand(x.shape[1])", "torch.rand_like(x)")],
    "PTR601": [(".detach()", "")],
    "PTR602": [("        with torch.no_grad():\n            x = F", "        x = F")],
    "PTR603": [("model[2] = nn.Linear(16, 3)\n", ""), ("(16, 10))", "(16, 3))")],
    "PTR604": [("[nn.Linear(16, 16) for _ in range(2)]",
                "nn.ModuleList(nn.Linear(16, 16) for _ in range(2))")],
    "PTR605": [("optimizer = torch.optim.SGD(model[1].parameters()",
                "model[3] = nn.Linear(16, 3)\noptimizer = torch.optim.SGD(model[1:].parameters()")],
    "PTR606": [("loss.backward()\n", "loss.backward()\n        optimizer.step()\n")],
    "PTR607": [("torch.tensor(loss.item(), requires_grad=True)", "loss")],
    "PTR701": [(_LOSS, _CLEARED + _LOSS)],
    "PTR702": [("        scheduler.step()", "    scheduler.step()")],
    "PTR703": [("        optimizer.step()\n", ""),
               ("0.1)\n    model.eval", "0.1)\n        optimizer.step()\n    model.eval")],
    "PTR704": [("    optimizer.zero_grad()\n    loss", "    with torch.no_grad():\n        loss"),
               ("\n    loss.backward()\n    optimizer.step()\n", "\n")],
    "PTR705": [("/ 2\n", "/ 3\n"), ("if rows == 16", "if rows == 32")],
    "PTR706": [(_CLEARED, ""), (_LOSS, _CLEARED + _LOSS)],
    "PTR707": [("    optimizer.step()\n", "    optimizer.step()\n        scheduler.step()\n")],
    "PTR801": [("inputs = x[order]", "inputs, targets = x[order], y[order]"),
               ("+ 16]), y[rows", "+ 16]), targets[rows")],
    "PTR802": [("model(raw[48:])", "model((raw[48:] - mean) / std)")],
    "PTR803": [(", nn.Softmax(1)", "")],
    "PTR804": [("(prediction - target)", "(prediction.squeeze(1) - target)")],
    "PTR805": [("dim=0", "dim=-1")],
    "PTR806": [("nn.GRU(8, 8)", "nn.GRU(8, 8, batch_first=True)")],
    "PTR807": [(".item())", ".item() * len(y[held]))"), ("/ len(losses)", "/ 16")],
    "PTR808": [("self.embedding(ids).mean(1)",
                "(self.embedding(ids) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)")],
    "PTR809": [("nn.CrossEntropyLoss()", "nn.CrossEntropyLoss(ignore_index=0)")],
    "PTR901": [("self.body(x).relu()", "self.body(x).relu().clamp(min=1e-8)")],
    "PTR902": [("((h * 300) ** 2 / 60000).float()", "(h.float() * 300) ** 2 / 60000")],
    "PTR903": [("nn.ReLU()", "nn.LeakyReLU(0.01)"), ("lr=3.0", "lr=0.01")],
    "PTR904": [("+ 4000\n", "+ 4000\nx = (x - x.mean(0)) / x.std(0)\n")],
}  # fmt: skip
"""What to replace in the program in which a rule fires, as its fix says."""


def mended(rule: Rule) -> str | None:
    """Return a rule's own program without its bug; None where its fix is another program.

    Args:
        rule: The rule.
    """
    replaced = _FIXED.get(rule.id)
    if replaced is None:
        return None
    text = rule.fires
    for old, new in replaced:
        text = text.replace(old, new, 1)
    return text


def fixed() -> tuple[str, ...]:
    """Return the ids of the rules whose programs can be mended so."""
    return tuple(_FIXED)

"""The pytest plugin fails a test for its model, and costs other tests nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import sys
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, healthy):
        super().__init__()
        self.linear, self.healthy = nn.Linear(4, 2), healthy

    def forward(self, x):
        x = F.dropout(x, 0.5, training=self.training or not self.healthy)
        return self.linear(x)


x, y = torch.randn(8, 4), torch.zeros(8, dtype=torch.long)


def test_healthy(assert_no_findings):
    found = assert_no_findings(Net(True), x, select=["PTR1", "PTR2"])
    assert all(not each.grave for each in found)


def test_buggy(assert_no_findings):
    assert_no_findings(Net(False), x, y, loss_fn=F.cross_entropy)
"""


def pytest_of(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest with the plugin, and without those that happen to be installed."""
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "100"}
    command = [sys.executable, "-m", "pytest", "-p", "pipetrace.integrations.testing", "-q",
               "-p", "no:cacheprovider", *arguments]  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_test_fails_for_its_model_and_says_at_which_line(tmp_path: Path):
    (tmp_path / "test_net.py").write_text(TESTS, encoding="utf-8")
    code, told = pytest_of(tmp_path)
    assert code == 1
    assert "1 failed, 1 passed" in told
    assert "test_net.py:14" in told
    assert "PTR101 warning" in told
    assert "test_net.py::test_buggy - Failed: pipetrace: PTR101" in told
    assert "checking.py" not in told
    code, told = pytest_of(tmp_path, "--pipetrace-ignore", "PTR1")
    assert (code, "2 passed" in told) == (0, True)
    (tmp_path / "pyproject.toml").write_text('[tool.pipetrace]\nignore = ["PTR1"]\nselect = []\n')
    code, told = pytest_of(tmp_path, "--pipetrace-select", "PTR1")
    assert (code, "1 failed" in told) == (1, True)
    code, told = pytest_of(tmp_path, "--pipetrace-select", "PTR999")
    assert (code, "Did you mean" in told, "Traceback" in told) == (4, True, False)


def test_the_plugin_does_not_import_torch(tmp_path: Path):
    (tmp_path / "test_light.py").write_text(
        "import sys\n\n\ndef test_light():\n    assert 'torch' not in sys.modules\n"
    )
    code, told = pytest_of(tmp_path)
    assert code == 0, told

"""Real tables: penguins from beside the checkout, and scikit-learn's, written as CSV."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn import datasets

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def shared() -> Callable[[str], Path]:
    """Give the path of a table in ../shared/data, or skip."""

    def path(name: str) -> Path:
        file = SHARED / name
        if not file.is_file():
            pytest.skip(f"{name} is not in ../shared/data beside the checkout")
        return file

    return path


@pytest.fixture
def bundled(tmp_path: Path) -> Callable[[str], Path]:
    """Write a table of scikit-learn as CSV, with its target in the column `target`."""

    def path(name: str) -> Path:
        bunch = getattr(datasets, f"load_{name}")()
        columns = [
            pl.Series(str(feature), bunch.data[:, index])
            for index, feature in enumerate(bunch.feature_names)
        ]
        truth = np.asarray(bunch.target)
        classes = getattr(bunch, "target_names", None)
        if classes is not None:
            truth = np.asarray([str(name) for name in classes], dtype=object)[truth]
        frame = pl.DataFrame([*columns, pl.Series("target", truth.tolist())])
        file = tmp_path / f"{name}.csv"
        frame.write_csv(file)
        return file

    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write text or bytes into a file of the test's own folder."""

    def file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return file

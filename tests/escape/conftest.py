"""Makes the modules of this folder importable: the matrix is also what scripts/escape-table runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import matrix


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """The directory that attacks read in."""
    directory = tmp_path_factory.mktemp("escape").resolve()
    matrix.prepare(directory)
    return directory

"""torch, the independent answer, for the tests of the cells that need it."""

import pytest


@pytest.fixture(scope="session")
def torch():
    return pytest.importorskip("torch", reason="torch (CPU build) is the independent answer here")

import pytest

from microrecur.course.workspace import Workspace


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A filled workspace, which is where we are."""
    made = Workspace(tmp_path / "course")
    made.fill()
    monkeypatch.chdir(made.root)
    return made

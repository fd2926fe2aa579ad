"""The rules of tests/conftest.py, tried on a small project with a planted skip."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SKIPPING = {
    "a mark": "import pytest\n@pytest.mark.skip(reason='no such thing')\ndef test_it(): pass\n",
    "a call": "import pytest\ndef test_it(): pytest.skip('no such thing')\n",
    "a module": "import pytest\npytest.skip('no such thing', allow_module_level=True)\n",
}


def run_pytest(folder, test, **environment):
    (folder / "conftest.py").write_text((Path(__file__).parent / "conftest.py").read_text())
    (folder / "test_planted.py").write_text(test)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -ra -p no:cacheprovider\n")
    unset = {"MICRORECUR_NO_SKIPS", "PYTEST_ADDOPTS"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("test", SKIPPING.values(), ids=SKIPPING.keys())
def test_a_skip_is_a_failure_where_nothing_may_be_skipped(tmp_path, test):
    run = run_pytest(tmp_path, test, MICRORECUR_NO_SKIPS="1")
    assert run.returncode != 0, run.stdout
    assert "no such thing (MICRORECUR_NO_SKIPS=1: a skip is a failure)" in run.stdout


@pytest.mark.parametrize("test", SKIPPING.values(), ids=SKIPPING.keys())
def test_elsewhere_a_skip_shows_its_reason(tmp_path, test):
    run = run_pytest(tmp_path, test)
    assert "1 skipped" in run.stdout
    assert "no such thing" in run.stdout


def test_a_test_expected_to_fail_is_no_skip(tmp_path):
    planted = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n"
    run = run_pytest(tmp_path, planted, MICRORECUR_NO_SKIPS="1")
    assert run.returncode == 0, run.stdout
    assert "1 xfailed" in run.stdout


def test_a_program_that_is_not_there_is_named(tmp_path):
    planted = "import pytest\npytestmark = pytest.mark.graphviz\ndef test_it(): pass\n"
    ini_free = run_pytest(tmp_path, planted, PATH=str(tmp_path))
    assert "no `dot` on PATH: install Graphviz" in ini_free.stdout


def test_what_a_test_records_is_printed_at_the_end(tmp_path):
    run = run_pytest(tmp_path, "def test_it(record_property): record_property('lines', 1234)\n")
    assert "lines" in run.stdout
    assert "1,234" in run.stdout

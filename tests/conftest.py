"""What every test stands on: which need a program, what a skip means, what is printed last."""

import os
import shutil

import hypothesis
import pytest

os.environ.setdefault("MPLBACKEND", "Agg")  # no test opens a window, nor does what it starts

# No timed asserts: a slow machine is no defect. In CI the same examples run every time.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")

NO_SKIPS = "MICRORECUR_NO_SKIPS"
NEEDS = {
    "graphviz": (lambda: shutil.which("dot"), "no `dot` on PATH: install Graphviz"),
    "browser": (lambda: shutil.which("chromium"), "no `chromium` on PATH: install Chromium"),
}


def pytest_collection_modifyitems(items):
    missing = {mark: reason for mark, (found, reason) in NEEDS.items() if not found()}
    for item in items:
        for mark, reason in missing.items():
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))
    # A browser's driver keeps an event loop running in this thread, which asyncio.run() refuses.
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


# CI installs everything a test may need, so there a skip is a test that silently did not run.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport():
    return _failed_if_skipped((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report():
    return _failed_if_skipped((yield))


def _failed_if_skipped(report):
    expected_to_fail = hasattr(report, "wasxfail")
    if report.skipped and not expected_to_fail and os.environ.get(NO_SKIPS) == "1":
        _, _, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason} ({NO_SKIPS}=1: a skip is a failure)"
    return report


def pytest_terminal_summary(terminalreporter):
    """Print what tests recorded with `record_property`, such as the size of each room."""
    passed = terminalreporter.getreports("passed")
    recorded = [pair for report in passed for pair in report.user_properties]
    if recorded:
        terminalreporter.section("recorded")
    for name, value in recorded:
        terminalreporter.line(f"{name:<28} {value:>8,}")

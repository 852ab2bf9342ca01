"""In which order do tests run side by side, and may a lab test be skipped?

script/test loads it (`-p lab_last`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the lab's tests last: each worker makes a lab of its own, and both take their turns together."""
    items.sort(key=_is_lab)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI is set, a lab test that would be skipped has failed."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and _is_lab(item) and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and CI is set: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say again, near the last line, which linters failed before the tests began."""
    if failed := os.environ.get("HANDFUL_LINT_FAILED"):
        terminalreporter.section("linters", red=True)
        terminalreporter.line(f"FAILED: {failed} (above)")


def _is_lab(item: pytest.Item) -> bool:
    return item.get_closest_marker("lab") is not None

"""What a test has to say beside passing (seeds, counts) is shown at once, and again under the results."""

from __future__ import annotations

from collections.abc import Callable

import pytest

TOLD = "told"


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Prints a line, whatever captures output; also from a worker of pytest-xdist, whose own output nobody sees."""

    def told(line: str) -> None:
        record_property(TOLD, line)
        with capsys.disabled():
            print(f"\n{line}", flush=True)

    return told


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for found in ("passed", "failed") for report in terminalreporter.stats.get(found, ())]
    lines = [
        line for report in reports if report.when == "call" for name, line in report.user_properties if name == TOLD
    ]
    if lines:
        terminalreporter.section("what the tests told")
        for line in lines:
            terminalreporter.line(str(line))

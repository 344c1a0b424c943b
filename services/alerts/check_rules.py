"""The command of `make check-rules`: reads the rules, runs their tests, and names what is wrong with file and line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from services.alerts.rule_files import load_rules, texts_in
from services.alerts.rule_tests import run_tests
from shared.errors import Fault, Invalid
from shared.settings import ROOT

RULES = ROOT / "deploy" / "rules"


def check(folder: Path) -> tuple[str, list[Fault]]:
    """What there is in words, and what is wrong; tests stand in the folder `tests` in `folder`."""
    try:
        rules = load_rules(folder)
        tests = texts_in(folder / "tests") if (folder / "tests").is_dir() else {}
    except Invalid as error:
        return "", list(error.faults)
    count, faults = run_tests(rules, {f"tests/{name}": text for name, text in tests.items()})
    return f"{len(rules.rules)} rules, {len(rules.inhibitions)} inhibitions, {count} tests", faults


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=RULES)
    folder: Path = parser.parse_args(arguments).folder
    found, faults = check(folder)
    for fault in faults:
        print(f"{folder}/{fault.field}: {fault.detail}", file=sys.stderr)
    if faults:
        return 1
    print(f"{found}: all right")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs a state machine until it has made so many steps, with a seed that is printed and can be given again.

LAWS_SEED: the first seed (default: a random one); each round takes the next. LAWS_STEPS_PURE, LAWS_STEPS_POSTGRESQL:
how many steps (default: what continuous integration has the time for). A failure names the seed of its round; with
LAWS_SHRINK=1 it is made small first, which takes minutes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from random import SystemRandom
from typing import Final

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.laws import Telling

STEPS_AN_EXAMPLE: Final = 40
REPORT_EVERY_SECONDS: Final = 30.0
Say = Callable[[str], None]


def first_seed() -> int:
    return int(os.environ.get("LAWS_SEED") or SystemRandom().randrange(2**32))


def steps_wanted(which: str, in_ci: int) -> int:
    return int(os.environ.get(f"LAWS_STEPS_{which}") or in_ci)


def run(machine: type[Telling], name: str, wanted: int, *, examples_a_round: int, say: Say) -> int:
    """Rounds of examples until `wanted` steps are made; how many there were. `say` prints, whatever captures output."""
    first = number = first_seed()
    before, started = Telling.steps, time.monotonic()
    reported = started
    say(f"{name}: {wanted:,} state-machine steps from LAWS_SEED={first}")
    chosen = settings(
        max_examples=examples_a_round,
        stateful_step_count=STEPS_AN_EXAMPLE,
        deadline=None,
        database=None,
        print_blob=False,
        phases=(Phase.generate, Phase.shrink) if os.environ.get("LAWS_SHRINK") else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    while (made := Telling.steps - before) < wanted:
        try:
            run_state_machine_as_test(seed(number)(machine), settings=chosen)
        except BaseException as error:
            error.add_note(f"again: LAWS_SEED={number} (round {number - first + 1} of {name})")
            raise
        number += 1
        if time.monotonic() - reported > REPORT_EVERY_SECONDS:
            reported = time.monotonic()
            say(f"{name}: {Telling.steps - before:,} steps after {reported - started:,.0f} s, seed {number - 1}")
    spent = time.monotonic() - started
    say(f"{name}: {made:,} state-machine steps in {spent:,.1f} s, seeds {first} to {number - 1}")
    return made

"""Finds room for a stack beside others: a PORT_BASE of which every port is free."""

from __future__ import annotations

import os
import random
from typing import Final

from deploy.local.ports import OFFSETS, Ports, is_free

# Below the ports that the system hands out to outgoing connections.
FIRST, LAST, STEP = 15_000, 31_000, 100
ATTEMPTS: Final = 200


def free_port_base() -> int:
    """A PORT_BASE that can be used now; tests that run side by side (pytest-xdist) draw from different ones."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = range(FIRST + worker * STEP, LAST, workers * STEP)
    for base in random.sample(own, min(ATTEMPTS, len(own))):
        if all(is_free(Ports(base).of(name)) for name in OFFSETS):
            return base
    raise RuntimeError("no free PORT_BASE")

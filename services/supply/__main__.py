"""Starts the supply service: `python -m services.supply`."""

from __future__ import annotations

import sys

import uvloop

from services.supply.app import EXIT_FATAL, create
from services.supply.goal_files import BadGoals
from services.supply.settings import SupplySettings
from services.supply.signing import BadKey
from shared.telemetry import set_up_logging
from shared.web import serve


def main() -> None:
    settings = SupplySettings.load()
    set_up_logging("supply", settings.instance, settings.log_level)
    try:
        app, supply = create(settings)
    except BadGoals as error:
        sys.exit(f"setting SUPPLY_WATCH_SUPPLY_GOALS_DIR: {error}")
    except BadKey as error:
        sys.exit(f"setting SUPPLY_WATCH_SUPPLY_CHECKPOINT_KEY_FILE: {error}")
    uvloop.run(serve(app, settings))
    if supply.failed:
        sys.exit(EXIT_FATAL)


if __name__ == "__main__":
    main()

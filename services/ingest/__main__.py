"""Starts the service: `python -m services.ingest`."""

from __future__ import annotations

from services.ingest.app import main

if __name__ == "__main__":
    main()

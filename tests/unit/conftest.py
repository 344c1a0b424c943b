"""Unit tests open no socket; the event loop's own pair is a Unix socket."""

from __future__ import annotations

from pytest_socket import disable_socket


def pytest_runtest_setup() -> None:
    disable_socket(allow_unix_socket=True)

"""Names why the stack does not start: each reason is one line that its reader can act on."""

from __future__ import annotations


class CannotStart(Exception):
    """The stack does not start, for a reason outside of it (a port, a package, a directory); told in one line."""


class Cancelled(Exception):
    """Whoever started the stack has asked it to stop before it was ready."""

"""The embedded stack: the whole system on one machine with real Kafka and PostgreSQL, from packages alone."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this line is for those who start it with an older Python
    sys.stderr.write("Supply Watch needs Python 3.11 or newer, this is %d.%d\n" % sys.version_info[:2])  # noqa: UP031
    raise SystemExit(2)

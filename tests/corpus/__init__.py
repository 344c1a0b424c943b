"""A corpus of hostile records in named classes, each with what must become of it: see README.md."""

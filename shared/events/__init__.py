"""The event catalogue: what may be said, by whom, in which form, and where it goes."""

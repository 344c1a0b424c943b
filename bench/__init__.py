"""Measures the service on the machine at hand, and checks every result before it names a rate. See README.md."""

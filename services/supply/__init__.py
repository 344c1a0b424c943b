"""The supply service: an exact running ledger of the nation's medicine supply, measured against its goals."""

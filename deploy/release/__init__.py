"""What is handed out: the built package, what it needs by hash, what is in it. `make release` writes build/release."""

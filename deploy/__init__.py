"""How the system is set up and run: topics and rights, the embedded stack, goals and rules."""

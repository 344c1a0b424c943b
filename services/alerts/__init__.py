"""Turns signals into alerts by rules, and alerts into signed webhooks that reach people."""

"""The pages of alerts, for people at a browser: they show what the API answers, and act by its own functions."""

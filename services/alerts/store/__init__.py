"""Writes schema `alerts`: the only part of the service that does. One transaction a state change."""

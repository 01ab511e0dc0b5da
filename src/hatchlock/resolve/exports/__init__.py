"""Locked environments in the formats of other tools: pure functions from the lock's values to text."""

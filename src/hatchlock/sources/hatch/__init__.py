"""Hatch packages: their metadata, their directories and archives, their registry."""

"""Debian packages: signed archives, versions, and the closure that apt would choose over a base."""

"""Watching what a server tries, in a session of its own kind (`run --learn`)."""

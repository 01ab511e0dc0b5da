"""From what the manifest wants to what the lock holds."""

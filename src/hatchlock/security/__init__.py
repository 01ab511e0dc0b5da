"""What a server is allowed: its sandbox and its secrets."""

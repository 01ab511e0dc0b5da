"""Projects in a directory or a git repository: what they are, what they need, and their content."""

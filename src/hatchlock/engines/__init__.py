"""Where servers run: container engines and processes."""

"""What hatchlock can do: one module per group of commands, as functions that return values."""

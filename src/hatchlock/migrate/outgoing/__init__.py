"""What is locked, in the forms of other tools: pure functions from servers to the text of a file."""

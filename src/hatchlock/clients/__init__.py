"""Whose configuration we write: AI applications, their files, and edits that leave every other byte alone."""

"""What was resolved: the lock's values, its file, and how two locks differ."""

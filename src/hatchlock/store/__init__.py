"""The content store: verified bytes, and trees that are never changed once their receipt is written."""

"""Python packages: their index, their metadata, and where their wheels run."""

"""A user's own Dockerfile: what it says, the images that it is built from, and the files that go into its build."""

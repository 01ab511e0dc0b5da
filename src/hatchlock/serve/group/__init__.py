"""Several servers as one: each is a `hatchlock run` of its own, behind one stdin and stdout."""

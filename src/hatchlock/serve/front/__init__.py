"""A server over streamable HTTP on loopback: each session of HTTP is a `hatchlock run` of its own."""

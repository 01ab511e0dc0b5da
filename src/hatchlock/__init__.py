"""hatchlock: a declarative reconciler for MCP servers, driven by a lockfile."""

__version__ = "0.1.0"

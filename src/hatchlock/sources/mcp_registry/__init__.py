"""`mcp:` sources: entries of the official MCP registry and of registries with the same interface."""

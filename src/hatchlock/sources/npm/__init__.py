"""npm packages: registries, versions, and the tree that npm's own resolver makes of them."""

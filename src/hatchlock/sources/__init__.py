"""Where packages come from: one module per kind, behind the protocol of `base`."""

"""The manifest: what the user wants. Values in `model`, the document's schema in `schema`, reading in `load`."""

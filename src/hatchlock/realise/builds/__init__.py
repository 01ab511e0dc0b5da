"""Packages that come as source to wheels: in a sandbox, without network, from verified files alone."""

"""Fetching: HTTP with the user's proxies, certificates and credentials; what was fetched, kept for a while."""

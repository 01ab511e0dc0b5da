"""Servers that are reached over HTTP: what stands between them and an application that speaks stdio."""

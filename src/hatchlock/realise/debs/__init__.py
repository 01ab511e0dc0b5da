"""Debian packages as a layer: their files, dpkg's records of them, and what their scripts would have done that matters."""

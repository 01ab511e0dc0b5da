"""Stands in for a service that wants a key, which is its only argument."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Service(BaseHTTPRequestHandler):
    """Knows the weather."""

    def do_POST(self) -> None:
        """Answer whoever has the key."""
        is_known = self.headers["Authorization"] == f"Bearer {sys.argv[1]}"
        self.send_response(200 if is_known else 401)
        self.end_headers()
        self.wfile.write(b"sunny" if is_known else b"")


HTTPServer(("127.0.0.1", 8350), Service).serve_forever()

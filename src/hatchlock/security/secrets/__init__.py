"""Secrets: references become values when a server starts, and at no other time; then values disappear from every text."""

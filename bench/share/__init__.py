"""Sharing results: export archives, reports made from them, and merges of several sites."""

"""Serving: the HTTP server (`app`), and its page."""

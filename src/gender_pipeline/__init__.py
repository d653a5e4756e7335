"""From raw photo archives to a reviewed, reproducible classifier of annotated apparent gender."""

__version__ = "0.1.0"

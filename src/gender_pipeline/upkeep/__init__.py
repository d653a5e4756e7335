"""Upkeep: what of caches, captures, DVC's cache and MLflow's artifacts may go, and letting it go."""

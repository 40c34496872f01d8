"""Trained networks in use: which ones answer together, and what they say of any pictures."""

"""The evening: what a gallery machine runs."""

"""Signed anchors of the chain: keys, signing, settings, and the places outside the database that keep them."""

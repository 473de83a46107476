"""Makes a report of one run for people: collects facts, builds a document from them, and renders it as HTML or PDF."""

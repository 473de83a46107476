"""How facts get into the audit and to subscribers, and what waits until they do.

What an audit event says is in `domain`.
"""

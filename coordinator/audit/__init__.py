"""How events get into the audit and to subscribers, and what waits until they are there.

Which events there are is in `domain`.
"""

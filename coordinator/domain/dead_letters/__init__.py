"""Dead letters: events that did not become a run, as much of them as may be kept, and the list of them.

Where they are kept, and when, is in `audit`.
"""

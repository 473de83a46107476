"""The words of steering a run: verbs and where they are legal, approvals, and what a run waits for.

A run record is made of them. What they do to it is in `changes`, and when in `policies`.
"""

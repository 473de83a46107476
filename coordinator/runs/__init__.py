"""Run records: accepted, stored, listed, and taken up again where nothing drives them.

How a step is carried out is in `steps`.
"""

"""Run records: accepted, stored, listed, and recovered where no workflow drives them.

How a step is carried out is in `steps`.
"""

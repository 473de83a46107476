"""Calls to the services: plans, and the execution of one step. How they change a run is in `domain`."""

"""Drives runs: does what the policies decide, one turn of the workflow at a time. Called by the activity `drive`."""

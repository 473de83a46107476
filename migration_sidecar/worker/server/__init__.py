"""The forkserver, and the start and end of a job in the process that it forks.

What a job does in between is in the other packages of `worker`.
"""

"""The forkserver and the job that each process it forks carries out.

What a job does is in the other packages of `worker`.
"""

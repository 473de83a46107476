"""The service's end of the forkserver: starts it and gives it jobs. The other end is `worker.server`."""

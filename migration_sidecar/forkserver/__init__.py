"""The service's side of the forkserver: starts it and gives it jobs. The other side is `worker.server`."""

"""The workflow of a run, as Dapr replays it: the current one, and the former one for histories of earlier releases."""

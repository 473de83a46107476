"""The options of a request that say how its run goes on, and the commands that steer a run."""

"""What stands behind the ports: Dapr's state, workflow and pub/sub, and the services through the sidecar."""

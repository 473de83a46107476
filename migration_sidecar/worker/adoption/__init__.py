"""The jobs of an adoption in a worker process: stamp, and build a revision in a schema.

The service's package `adoption` decides about them.
"""

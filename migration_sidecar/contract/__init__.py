"""What both ends of the wire must understand alike; the coordinator and the audit may import it.

No I/O, and nothing that only one side needs.
"""

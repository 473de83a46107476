"""What a service and its worker processes share: messages, lock keys, names and SQL.

Standard library and Python 3.9 only. What only one of the two needs does not belong here.
"""

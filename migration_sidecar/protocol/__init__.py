"""What a service and its migration process must understand alike: orders, keys, SQL.

Standard library and Python 3.9 only.
"""

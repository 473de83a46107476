"""Whether tables in a database without a version row are this history's own.

Here belong the query and the rule, which the service and the worker share; what they conclude belongs to them.
"""

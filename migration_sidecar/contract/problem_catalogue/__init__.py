"""All problem codes in one table: title, next step, HTTP status, exit code. No logic, standard library only.

The worker imports it too, in the interpreter of a service (Python 3.9). Add a code in the module of its hundred.
"""

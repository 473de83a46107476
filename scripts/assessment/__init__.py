"""An attacker's collection against a fleet that runs here: every door, each tried in every wrong way, and a table.

It reads the keys of the fleet only to make signatures that must be refused. What is sent, is sent by another user.
"""

"""Commands of `coordinator audit` by which an operator has something recorded; all others only read."""

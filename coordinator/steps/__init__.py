"""What services are asked: for their plans, and to carry out one step. What a run becomes of it is in `domain`."""

"""What services are asked: their plans, and to carry out one step. What becomes of the run is in `domain`."""

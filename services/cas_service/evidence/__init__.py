"""What others get to check for themselves: the live verification, exports and proofs."""

"""The verbs by which an operator steers a run: what each asks for, where it is legal, what it does."""

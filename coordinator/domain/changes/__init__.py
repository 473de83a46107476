"""The larger changes of a run record: its plan, a pause, compensation, a retry, its end. Each returns a new Run."""

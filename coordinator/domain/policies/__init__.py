"""What a run may do next: order, waves, failure, approval, windows. Pure: no clock, no I/O."""

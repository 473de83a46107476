"""What a run costs the coordinator itself, for fleets of up to a thousand services, which are simulated."""

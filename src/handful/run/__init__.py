"""Plans are carried out here: waves of machines, events as they come, and how each machine ended."""

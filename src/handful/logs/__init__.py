"""What apps have said: what is asked of the agents, and how their answers become one."""

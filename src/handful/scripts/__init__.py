"""What runs on machines, as it runs: plain bash files and nothing else."""

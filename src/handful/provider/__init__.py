"""Where machines come from: the lab on this computer, or machines that exist."""

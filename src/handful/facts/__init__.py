"""What a machine is and has, as observe.bash told it → frozen dataclasses."""

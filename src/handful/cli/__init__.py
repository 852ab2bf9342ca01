"""The commands: parse, call, show. Nobody imports them."""

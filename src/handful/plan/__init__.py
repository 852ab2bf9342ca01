"""(Config, Facts, intent) → Plan, as pure functions: no input or output, no clock, no randomness."""

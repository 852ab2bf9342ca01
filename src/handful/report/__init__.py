"""Events, plans and facts as people and programs read them."""

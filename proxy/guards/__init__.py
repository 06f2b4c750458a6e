"""What stands before the budget: guards of an agent that are not about money."""

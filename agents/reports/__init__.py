"""The questions pages ask. Spend has one definition (spend.py) and every page uses it."""

"""A believable month of an imaginary organisation, written into the book without asking any provider."""

from agents.demo.write import Demo, existing_demo, write_demo

__all__ = ["Demo", "existing_demo", "write_demo"]

"""The LLM proxy: what a caller's client talks to."""

"""Gemini's own dialect."""

"""Anthropic's dialect: messages, and what they share with the list of models."""

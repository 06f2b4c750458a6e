"""Gemini's own dialect: generated content, token counts, embeddings, and what they share with the list of models."""

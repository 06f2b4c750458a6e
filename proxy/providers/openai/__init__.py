"""OpenAI's dialect, which the compatible providers speak too: one file for each surface, and what they share."""

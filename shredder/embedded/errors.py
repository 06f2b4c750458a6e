class CannotStart(Exception):
    """The installation cannot start; the text is one sentence for the operator."""

def to_text(e, contractions="matrix"):
    return f"<{type(e).__name__} {e.shape}>"

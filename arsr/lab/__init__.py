"""The laboratory: the book's networks, flow and recogniser in the reader's browser, without kernel and network."""

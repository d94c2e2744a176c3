"""The rules: pure decisions over a book and a document, without clock, randomness, I/O or logging."""

"""The document desk: whole orders and whole ASNs, their versions, and what changed between two of them."""

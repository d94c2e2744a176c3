"""The SKU book: all that is known of one SKU, and the rules that give its units to waiting lines."""

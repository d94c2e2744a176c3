"""Fakes that are shipped, so that users can test their own policies without a broker."""

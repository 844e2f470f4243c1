"""File primitives: atomic writes, locks, cached files, JSON tables, owners and modes."""

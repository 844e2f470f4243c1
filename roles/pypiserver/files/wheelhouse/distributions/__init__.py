"""Distribution files: their names, their metadata, and what is inside.

Modules: filenames, core_metadata (METADATA and PKG-INFO), metadata (the part that the pages serve), consistency (name,
version and form must agree), reserved (project names for tests), archives (the two readers of archives).
"""

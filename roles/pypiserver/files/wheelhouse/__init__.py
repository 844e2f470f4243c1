"""The WSGI application and the command line of a private Python package index.

Packages, in the order in which they may import each other: config, errors and files (no imports of others);
distributions, audit; access, pages; storage; web and cli.
"""

"""Backups with restic: the program pypi-backup, which runs as root with Debian's Python and the standard library."""

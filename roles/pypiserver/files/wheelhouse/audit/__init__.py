"""The audit log: who did what to the index, when, and from where, protected by a hash chain.

Modules: entry (format of an entry), rotation (the current and the rotated files), log (writing), rate_limit (of
rejections), reserve (for a full disk), request (the entries of one request), verify (finds modified entries),
continuity (whether data and log belong together). The command line is in wheelhouse.cli.audit.

The hash chain detects modifications by every user who cannot write the log. User pypi and root could rewrite both log
and head: keep a copy on another host if that must be detected, too.
"""

"""The audit log: what was done to the index, by whom and from where, so that nobody can change it unseen.

Modules: line (the form of one), files (where they are, the rotated ones among them), log (writing), limit (of
refusals), reserve (for a full disk), verify (finding what was changed), continuity (whether the data fit the log), and
people ask for it on the command line
(wheelhouse.commands.audit).

A chain says whether the log is as it was written, to everybody who cannot write it. User pypi and root could write
log and head anew, both: keep a copy elsewhere if that is to be seen, too.
"""

from wheelhouse.audit.log import Audit

__all__ = ["Audit"]

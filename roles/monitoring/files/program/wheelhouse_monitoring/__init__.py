"""Metrics of the index, and a canary that uses it as a client does.

Modules: definitions (all metrics), samples (their values, in Prometheus' text format), log_reader (new lines of rotated
logs), access_log and audit_log (what is counted in them), counters (the state that survives a restart), index (files,
pages, file systems), results (status files of the canary and of backups), exporter, canary, settings, files.

The programs run with Debian's Python, not with that of the application's release: they work without a release.
"""

"""All metrics: names, help texts and labels, by the conventions of Prometheus (base units, _total for counters).

Label values are fixed sets: no client can add one. The alert rules and the dashboard in monitoring/ use these names.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Definition:
    """A metric with at most one label. values: of the label; empty if the exporter chooses the only value."""

    help: str
    label: str = ""
    values: tuple[str, ...] = ()


# Why an upload or a removal was rejected, by the HTTP status of the response.
REASONS = {
    400: "invalid",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    411: "length_required",
    413: "too_large",
    503: "unavailable",
    507: "insufficient_storage",
}
OTHER_REASON = "other"

DIRECTORIES = ("data", "pages", "logs")
STEPS = ("connect", "list", "download", "forbidden")
OPERATIONS = ("backup", "check")
COLLECTORS = ("access_log", "audit_log", "index", "filesystems", "release", "canary", "backup")
LOGS = ("access", "audit")

GAUGES = {
    "wheelhouse_metrics_timestamp_seconds": Definition("Time at which the metrics were collected."),
    "wheelhouse_collector_success": Definition(
        "Whether a part of the metrics was collected (1) or not (0).", "collector", COLLECTORS
    ),
    "wheelhouse_release_info": Definition("The active release of the application; always 1.", "release"),
    "wheelhouse_data_available": Definition("Whether the data directory is present and has its mark."),
    "wheelhouse_files": Definition("Distribution files in the packages directory."),
    "wheelhouse_files_bytes": Definition("Size of all distribution files."),
    "wheelhouse_projects": Definition("Projects with a page."),
    "wheelhouse_projects_without_files": Definition("Projects that had files, and have none now."),
    "wheelhouse_temporary_uploads": Definition(
        "Files of uploads in progress, and stale ones, in the packages directory."
    ),
    "wheelhouse_pages_complete": Definition("Whether the pages are complete, so that Apache serves them."),
    "wheelhouse_pages_synced_timestamp_seconds": Definition(
        "Time at which pages and packages directory were last reconciled completely."
    ),
    "wheelhouse_pages_pending_files": Definition("Distribution files that have changed since that time."),
    "wheelhouse_filesystem_avail_bytes": Definition("Free space for services.", "directory", DIRECTORIES),
    "wheelhouse_filesystem_size_bytes": Definition("Size of the file system.", "directory", DIRECTORIES),
    "wheelhouse_filesystem_files_free": Definition("Free inodes.", "directory", DIRECTORIES),
    "wheelhouse_filesystem_files": Definition("Inodes of the file system.", "directory", DIRECTORIES),
    "wheelhouse_min_free_bytes": Definition("Free space that uploads must leave (pypi_min_free_space)."),
    "wheelhouse_max_total_bytes": Definition("Quota of all files (pypi_max_total_size), if there is one."),
    "wheelhouse_certificate_expiry_timestamp_seconds": Definition(
        "Expiry of the certificate that the canary received last."
    ),
    "wheelhouse_canary_timestamp_seconds": Definition("Time of the canary's last run."),
    "wheelhouse_canary_duration_seconds": Definition("Duration of the canary's last run."),
    "wheelhouse_canary_success": Definition("Whether the canary's last run found no fault."),
    "wheelhouse_canary_step_success": Definition(
        "Whether a step of the canary's last run succeeded; a step that was not made is missing.", "step", STEPS
    ),
    "wheelhouse_backup_since_timestamp_seconds": Definition("Time at which backups were switched on."),
    "wheelhouse_backup_max_age_seconds": Definition(
        "Age of the last successful run above which it is too old.", "operation", OPERATIONS
    ),
    "wheelhouse_backup_success": Definition("Whether the last run succeeded.", "operation", OPERATIONS),
    "wheelhouse_backup_last_success_timestamp_seconds": Definition(
        "Time of the last successful run.", "operation", OPERATIONS
    ),
}

COUNTERS = {
    "wheelhouse_uploads_total": Definition(
        "Uploads in the audit log, without those of projects reserved for playbooks/verify.yml.",
        "result",
        ("stored", "identical"),
    ),
    "wheelhouse_removals_total": Definition(
        "Removed files in the audit log, without those of projects reserved for playbooks/verify.yml."
    ),
    "wheelhouse_undone_changes_total": Definition("Logged changes that failed and were undone."),
    "wheelhouse_rejections_total": Definition(
        "Rejected requests to upload or remove.", "reason", (*REASONS.values(), OTHER_REASON)
    ),
    "wheelhouse_authentication_failures_total": Definition(
        "Responses with status 401: to a wrong login, or to a request without one.", "reason", ("wrong", "missing")
    ),
    "wheelhouse_http_requests_total": Definition("Requests to Apache.", "status", ("1xx", "2xx", "3xx", "4xx", "5xx")),
    "wheelhouse_log_lines_invalid_total": Definition("Log lines that were not counted.", "log", LOGS),
}

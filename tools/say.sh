# shellcheck shell=sh
# Functions for the tools: messages, steps with logs, and commands as root.
# Messages are written to standard error; standard output is for results.

log_dir=${TMPDIR:-/tmp}/wheelhouse-$(id -u)
mkdir -p "$log_dir" && chmod 700 "$log_dir"

say() { printf '%s\n' "$*" >&2; }

die() {
    say ''
    say "$*"
    exit 1
}

# step TEXT COMMAND...: runs a command with a progress line and its duration. Its output is
# written to a log, whose end is printed if it fails.
step() {
    text=$1
    shift
    log=$log_dir/$(printf '%s' "$text" | tr -cs '[:alnum:]' '-' | cut -c1-60).log
    began=$(date +%s)
    printf '==> %s ' "$text" >&2
    (while sleep 5; do printf '.' >&2; done) &
    ticker=$!
    status=0
    "$@" >"$log" 2>&1 || status=$?
    kill "$ticker" 2>/dev/null
    wait "$ticker" 2>/dev/null || true
    printf ' %s s\n' "$(($(date +%s) - began))" >&2
    if [ "$status" -ne 0 ]; then
        tail -n 20 "$log" >&2
        say "Failed: $text. Full log: $log"
    fi
    return "$status"
}

has() { command -v "$1" >/dev/null 2>&1; }

is_debian() { [ -r /etc/debian_version ] && has apt-get; }

may_be_root() { [ "$(id -u)" -eq 0 ] || { has sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; }; }

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

# apt_install PACKAGE...: requires is_debian and may_be_root.
apt_install() {
    as_root apt-get update --quiet=2 &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install --quiet=2 --yes --no-install-recommends "$@"
}

"""Entry point of the monitoring services: python3 -I DIRECTORY metrics|canary SETTINGS."""

import sys

# Python adds this directory to the import path, also in isolated mode (-I).
from wheelhouse_monitoring import canary, exporter
from wheelhouse_monitoring.settings import Settings

COMMANDS = {"metrics": exporter.run, "canary": canary.run}

if __name__ == "__main__":
    _, command, path = sys.argv
    sys.exit(COMMANDS[command](Settings.load(path)))

"""The data directory: uploads, removals, used filenames, quota, and checks of owners and modes."""

"""The pages of the index: plain files that Apache serves, derived from the packages directory.

Modules: metadata (what a distribution says of itself), record (what is known of each file, so that nothing is read
twice), upload_times (when each file was uploaded, which follows from nothing else), render (the pages' text), yanks
(PEP 592), site (which files there are, and when they are written).
"""

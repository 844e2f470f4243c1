"""The pages of the index: static files that Apache serves, derived from the packages directory.

Modules: file_records (cached details of each file), upload_times (the only part that is not derived), render (the text
of the pages), yanks (PEP 592), writer (writes the pages of a project), sync (reconciles all pages with the packages
directory).
"""

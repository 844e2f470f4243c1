"""Reading of archives: wheels (zip), sdists (gzipped tar, zip).

There are two readers, because a rejection costs different things:

- check reads uploads, strictly: every byte is decompressed and verified, and whatever installers could read in
  different ways is rejected. The uploader gets the message and builds the file again.
- unchecked reads files that an admin has copied into the packages directory, leniently: it accepts what the standard
  library can read, within limits on memory, and takes the metadata out. Existing files of another index, which
  installers can use, must not disappear when they are moved here.

Nothing is unpacked to disk. Modules of the strict reader: check (entry point), limits (decompression bombs), members
(path traversal), zip_archive with zip_layout and wheel_record, tar_archive with tar_headers and gzip_stream. Both use
inflate.
"""

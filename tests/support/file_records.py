"""Entries of imaginary files, for tests of rendering."""

from hypothesis import strategies as st
from wheelhouse.distributions.filenames import parse_filename
from wheelhouse.pages.file_records import FileRecord

from support.pages import sha256

# 2024-05-06 07:08:09.012345 UTC, in nanoseconds.
CHANGED = 1_714_979_289_012_345_678


def entry(filename: str = "foo-1.0-py3-none-any.whl", **changed: object) -> FileRecord:
    """Return an entry of a valid file."""
    fields = {
        "filename": filename,
        "version": str(parse_filename(filename)[1]),
        "size": 1234,
        "changed": CHANGED,
        "sha256": sha256(filename.encode()),
        "requires_python": None,
        "metadata_sha256": None,
    }
    return FileRecord(**fields | changed)


FILENAMES = [
    "Foo.Bar-1.0-py3-none-any.whl",
    "foo_bar-1.0.tar.gz",
    "foo_bar-1.0+local.7-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "foo_bar-1!0.1.tar.gz",
    "foo_bar-1.10.zip",
    "foo_bar-1.9.tar.gz",
    "foo_bar-2.0rc1-py3-none-any.whl",
    "foo_bar-2.0.dev3-py3-none-any.whl",
]

# Everything that a field or a reason may contain: quotes, tags, line ends, other alphabets.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=20) | st.sampled_from(
    [">=3.8, <4", '"><script>alert(1)</script>', "a'b\"c&amp;d", "</table>", "line\nline", ""]
)
ENTRIES = st.lists(
    st.builds(
        lambda filename, size, changed, requires_python, with_metadata: entry(
            filename,
            size=size,
            changed=changed,
            requires_python=requires_python,
            metadata_sha256=sha256(b"metadata") if with_metadata else None,
        ),
        st.sampled_from(FILENAMES),
        st.integers(0, 1 << 40),
        st.integers(0, 4_000_000_000_000_000_000),
        st.none() | TEXTS.filter(bool),
        st.booleans(),
    ),
    unique_by=lambda found: found.filename,
    max_size=8,
)
YANKED = st.dictionaries(st.sampled_from(["1", "1+local.7", "1!0.1", "2rc1"]), TEXTS, max_size=3)

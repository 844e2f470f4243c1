"""The files that the kit installs, from the directory of their templates."""

from pathlib import Path


def template_destinations(templates: str) -> list[str]:
    """Return the path on the host of each template below a directory, which mirrors the host's file system."""
    root = Path(templates)
    return sorted(f"/{path.relative_to(root)}".removesuffix(".j2") for path in root.rglob("*.j2"))


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"pypi_template_destinations": template_destinations}

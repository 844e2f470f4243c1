"""The look at systemd's units, on what `systemctl show` says of them."""

from support import kit

SHOWN = """\
Id=apache2.service
ActiveState=active
UnitFileState=enabled

Id=pypi-certificate.timer
ActiveState=inactive
UnitFileState=

Id=pypi-pages.path
ActiveState=active
UnitFileState=disabled

Id=pypi-pages.timer
ActiveState=failed
UnitFileState=enabled"""


def well(shown: str) -> list[str]:
    """Return the units that the roles leave alone, by their own expression."""
    return kit.evaluate(kit.trust_as_template("{{ __pypi_units_well }}"), __pypi_units_shown={"stdout": shown})


def test_what_runs_now_and_with_the_host() -> None:
    """Both are needed: what is stopped, failed, not enabled or not there yet is for the roles to start."""
    assert well(SHOWN) == ["apache2.service"]


def test_every_unit_is_told_apart() -> None:
    """One that is not recognised would be looked at anew in each run, and nobody would notice but the clock."""
    units = kit.evaluate(kit.trust_as_template("{{ __pypi_units }}"))
    assert well("\n\n".join(f"Id={unit}\nActiveState=active\nUnitFileState=enabled" for unit in units)) == units


def test_a_host_that_tells_nothing() -> None:
    """Then each role looks for itself."""
    assert well("") == []

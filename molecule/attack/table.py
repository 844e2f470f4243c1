"""The table of attacks: each row is data with a function that carries it out."""

from attack.result import Attack, Result
from attack.rows import anonymous, archives, local, uploads
from attack.target import Target

ATTACKS: list[Attack] = [*anonymous.ROWS, *uploads.ROWS, *archives.ROWS, *local.ROWS]


def carry_out(attack: Attack, target: Target) -> Result:
    """Carry out an attack, and check that it is logged where the table says."""
    if not target.healthy(30):
        target.recover()
    if attack.log and attack.log.name == "audit":
        target.reset_rejection_count()
    before = target.log_sizes()
    try:
        result = attack.run(target)
    finally:
        if not attack.quick:
            target.wait_until_idle()
    if attack.log:
        log, seconds = attack.log, 0 if result.failures else 15
        is_logged = target.is_logged(log.name, before[log.name], log.pattern, seconds)
        result.check(f"it is in the {log.name} log", is_logged)
    return result

"""Of each of Kit's operations it is known whether it is served: one that was forgotten is named here."""

from tests.api.routes import ROUTES
from tests.kit import contract
from tests.kit.contract import MISSING

SERVED = {str(route) for route in ROUTES if route.path.startswith("/v4/")}

# Served under /v4, though Kit has no such operation.
OURS = {"DELETE /v4/sequences/{sequence_id}/subscribers/{id}"}

N_OF_KIT = 83  # operations in the contract


def test_what_is_not_served_is_listed_until_it_is() -> None:
    assert not SERVED & set(MISSING)
    assert OURS <= SERVED
    assert len(SERVED - OURS) + len(MISSING) == N_OF_KIT


def test_every_operation_of_the_contract_is_served_or_listed() -> None:
    contract.skip_if_absent()
    known = set(contract.operations())
    assert known - SERVED == set(MISSING), "missing"
    assert SERVED - known == OURS, "not in Kit"

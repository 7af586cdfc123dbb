"""The store by itself: its indexes tell what a search through everything would tell."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_azurevm._resource_ids import address_of, references
from pytest_azurevm._store import Resource, Store
from tests.arm_data import NETWORK, NETWORKS, NIC, SUBNET

PATHS = (
    NETWORK,
    SUBNET,
    f"{NETWORK}/subnets/b",
    NIC,
    f"{NIC}/ipConfigurations/c",
    f"{NETWORKS}/publicIPAddresses/ip",
    f"{NIC}/providers/Microsoft.Authorization/locks/l",
)
BODIES = st.fixed_dictionaries({
    "subnet": st.none() | st.fixed_dictionaries({"id": st.sampled_from(PATHS)}),
    "others": st.lists(st.fixed_dictionaries({"id": st.sampled_from(PATHS)}), max_size=2),
})  # fmt: skip


def body_of(path: str, properties: dict) -> dict:
    """Give a body with an address that no other path has."""
    address = f"10.0.0.{PATHS.index(path)}"
    return {"properties": {**properties, "privateIPAddress": address}}


def resource(path: str, sequence: int, body: dict) -> Resource:
    """Make a record that is in no store."""
    address = address_of(tuple(path.strip("/").split("/")))
    return Resource(
        address=address,
        type=address.type,
        region="westeurope",
        sequence=sequence,
        created_us=0,
        changed_us=0,
        body=body,
        provisioning="Succeeded",
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PATHS), st.none() | BODIES), max_size=20))
def test_the_indexes_tell_what_a_search_would(changes):
    """After any writes and deletes, each index agrees with a search through what is there."""
    store, there = Store(), {}
    for number, (path, properties) in enumerate(changes):
        old = there.get(path)
        if properties is None:
            if old is not None:
                store.drop(there.pop(path))
        elif old is None:
            there[path] = resource(path, number, body_of(path, properties))
            store.add(there[path])
        else:
            store.rewrite(old, body_of(path, properties))

    everything = list(there.values())
    for path in PATHS:
        key = path.lower()
        found = store.addresses(key).used
        assert store.find(key) is there.get(path)
        assert {one.key for one in store.referrers(key)} == {
            one.key
            for one in everything
            if one.key != key and key in {target.lower() for target in references(one.body)}
        }
        assert {one.key for one in store.within(path)} == {
            one.key for one in everything if one.key.rpartition("/")[0].rpartition("/")[0] == key
        } | {
            one.key for one in everything if one.address.is_extension and one.address.scope == path
        }
        assert found == {
            one.properties["privateIPAddress"]
            for one in everything
            if (one.properties["subnet"] or {}).get("id") == path
        }

"""The Merkle tree is the one of RFC 6962; the vectors are those of its reference implementation."""

from __future__ import annotations

import pytest

from audit_verifier.verify import merkle_path, merkle_root, root_along

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(9))
def test_a_tree_has_the_root_of_the_reference(size: int) -> None:
    assert merkle_root(LEAVES[:size]) == ROOTS[size]


def test_the_first_of_eight_leaves_has_the_path_of_the_reference() -> None:
    assert merkle_path(LEAVES, 0) == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 33, 100])
def test_every_leaf_of_a_tree_leads_to_its_root_and_to_no_other_place(size: int) -> None:
    leaves = [f"{number:04x}" for number in range(size)]
    root = merkle_root(leaves)
    for index, leaf in enumerate(leaves):
        path = merkle_path(leaves, index)
        assert root_along(path, leaf, index, size) == root
        assert root_along(path, "ffff", index, size) != root
        if index ^ 1 < size:
            assert root_along(path, leaf, index ^ 1, size) != root


@pytest.mark.parametrize("path", [[], ["00" * 32] * 4, ["no hex"]])
def test_a_path_of_another_length_or_form_leads_nowhere(path: list[str]) -> None:
    with pytest.raises(ValueError, match=r"path|hex"):
        root_along(path, "00", 0, 8)

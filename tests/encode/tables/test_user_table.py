"""Vectors of users: the three ways to join, unknown users, gradients, files, bad input."""

import pytest
import torch
from torch import nn

from vecsmith.core import ConfigError, DataError, StoreError
from vecsmith.encode.tables import COMBINE, UnifiedEmbedding, UserTable

USERS = torch.tensor([2, -1, 0, 2])


@pytest.mark.parametrize("combine", COMBINE)
class TestEveryWay:
    def make(self, combine):
        torch.manual_seed(0)
        return UserTable(3, 4, combine=combine, scale=1.0)

    def test_rows_are_joined_one_by_one(self, combine):
        table, vectors = self.make(combine), torch.randn(4, 4)
        out = table(vectors, USERS)
        for row, user in enumerate(USERS.tolist()):
            own = torch.zeros(4) if user < 0 else table.table.weight[user]
            wanted = {
                "add": vectors[row] + own,
                "concat": torch.cat([vectors[row], own]),
                "gate": vectors[row] * (1 + own),
            }[combine]
            torch.testing.assert_close(out[row], wanted)

    def test_only_users_that_were_asked_for_learn(self, combine):
        table = self.make(combine)
        table(torch.randn(4, 4), USERS).square().sum().backward()
        assert table.table.weight.grad.abs().sum(1).gt(0).tolist() == [True, False, True]

    def test_files_are_equal(self, combine, tmp_path):
        table = self.make(combine)
        table.save_pretrained(tmp_path)
        again, vectors = UserTable.from_pretrained(tmp_path), torch.randn(4, 4)
        assert torch.equal(again(vectors, USERS), table(vectors, USERS))


def test_an_unknown_user_gets_the_shared_vector():
    vectors = torch.randn(2, 4)
    for combine in ("add", "gate"):
        table = UserTable(3, 4, combine=combine, scale=1.0)
        assert torch.equal(table(vectors, torch.tensor([-1, -1])), vectors)


def test_a_shared_store_may_hold_the_users():
    class Store(nn.Module):
        def forward(self, ids):
            assert ids.shape == (4, 1)
            return ids[..., None].float().expand(4, 1, 5)

    found = UserTable(Store(), 5).vectors(USERS)
    assert found.tolist() == [[2.0] * 5, [0.0] * 5, [0.0] * 5, [2.0] * 5]
    assert issubclass(UnifiedEmbedding, nn.Module)
    with pytest.raises(ConfigError, match="was given"):
        UserTable(Store(), 5).save_pretrained("unused")


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        (lambda t: UserTable(3, 4, combine="mix"), ConfigError, "combine must be one of"),
        (lambda t: UserTable(0, 4), ConfigError, "at least 1"),
        (lambda t: t(torch.ones(2, 4), torch.tensor([0, 3])), DataError, "below 3; got 3"),
        (lambda t: t(torch.ones(1, 4), torch.tensor([-2])), DataError, "from 0, or -1"),
        (lambda t: t(torch.ones(1, 4), torch.tensor([0.0])), DataError, "whole numbers"),
        (lambda t: t(torch.ones(2, 4), torch.tensor([0])), DataError, "one row a user"),
        (lambda t: t(torch.ones(1, 3), torch.tensor([0])), DataError, "4 dimensions"),
    ],
)
def test_bad_input_is_named(call, error, named):
    with pytest.raises(error, match=named):
        call(UserTable(3, 4))


def test_damaged_files_are_told(tmp_path):
    UserTable(3, 4).save_pretrained(tmp_path)
    (tmp_path / "users.safetensors").write_bytes(b"short")
    with pytest.raises(StoreError, match="no whole table"):
        UserTable.from_pretrained(tmp_path)

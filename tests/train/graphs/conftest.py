"""Graphs that the tests of embedders share."""

import networkx as nx
import pytest

from vecsmith.data.graphs import GraphData


@pytest.fixture(scope="session")
def karate() -> GraphData:
    return GraphData.from_networkx(nx.karate_club_graph(), weight="none")


@pytest.fixture(scope="session")
def islands() -> GraphData:
    """Two cliques of 12 that one edge joins."""
    rows = [(a + o, b + o) for o in (0, 12) for a in range(12) for b in range(a)]
    return GraphData.from_edges([*rows, (0, 12)])

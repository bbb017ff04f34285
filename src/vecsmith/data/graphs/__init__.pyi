from ._files import read_edge_list as read_edge_list
from ._files import read_kgtk as read_kgtk
from ._files import read_recbole as read_recbole
from ._graph import GraphData as GraphData
from ._graph import as_graph as as_graph
from ._hops import hop_distances as hop_distances

__all__ = [
    "GraphData",
    "as_graph",
    "hop_distances",
    "read_edge_list",
    "read_kgtk",
    "read_recbole",
]

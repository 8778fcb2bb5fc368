"""The operator of Fluid Jobs: it watches the custom resources, feeds the queue, and writes status back.

Rooms: `api` holds the typed models of the three kinds and knows no server; `kube` is the only door to the API server;
`jobs` and `environments` reconcile one kind each. None of them may import the processors: what a processor
accepts reaches the operator as data.
"""

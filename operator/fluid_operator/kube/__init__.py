"""The only door to the API server: a thin client, an informer, a work queue and a lease elector.

`client` sends verbs, `informer` keeps a cache true by list and watch, `workqueue` turns what changed into
calls of a reconciler, `lease` says who may write. Everything runs in one asyncio loop and none of it knows
what a job is.
"""

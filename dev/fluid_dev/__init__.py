"""What a developer's machine needs around Fluid Jobs: real servers, locally, and the demo on top of them. Not shipped.

`binaries` finds or builds the programs, `cluster`, `redis` and `smtp` run the servers, `demo` puts them together with
operator and worker as processes. `node` adds a real node to a cluster, `image_build` makes our image for it, and
`node_demo` puts these together, with operator and workers as pods. Imports nothing of ours: the demos start the product
as its users do.
"""

"""The three kinds as typed models, and everything that is generated from them.

This room knows what a FluidJob, a FluidSchedule and a FluidEnvironment may hold and what each field means.
The CRDs, the texts of `kubectl explain` and the reference pages are all made from these models, so a field is
described once. It knows no API server, no queue and no clock: data in, data out.
"""

"""FluidEnvironment: from the object to an open key space, and back to its status."""

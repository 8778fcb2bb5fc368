"""What a FluidEnvironment consists of, as objects for the API server. Data in, manifests out.

`manifests.render` is the way in. Shapes stand in `templates/*.yaml.j2`, values are computed in Python and enter a
template through one filter only, which writes them as JSON: no text of a user can become structure. Nothing here sends
a request, reads a clock or makes a password.
"""

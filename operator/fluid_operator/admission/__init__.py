"""The optional validating webhook: tells at `kubectl apply` what the job's condition would tell some moments later.

It only ever answers earlier, never otherwise: whatever it cannot know, or not know in time, it lets pass, and the
operator goes on judging for itself. So nothing in the operator may rely on it.

    settings      what it has to be told                          certificates  a certificate, made and read
    reviews       an AdmissionReview, read and answered           tls           the certificate that is served now
    checks        what is wrong with a FluidJob                   keeping       where it comes from, and its renewal
    catalogue     what an environment's workers can run           endpoint      HTTPS, limits, counting
    earlier       has a spec had its run already?                 webhook       all of it together, for one replica
    reviewer      from a review to a verdict, in bounded time
"""

"""The optional validating webhook: tells at `kubectl apply` what the job's condition would tell some moments later.

It only ever answers earlier, never otherwise: whatever it cannot know, or not know in time, it lets pass, and the
operator goes on judging for itself. So nothing in the operator may rely on it.

    reviews       an AdmissionReview, read and answered           certificates  a certificate, made and read
    checks        what is wrong with a FluidJob                   tls           the certificate that is served now
    catalogue     what an environment's workers can run           keeping       where it comes from, and its renewal
    reviewer      from a review to a verdict, in bounded time     endpoint      HTTPS, limits, counting
    webhook       all of it together, for one replica
"""

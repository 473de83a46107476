"""Who calls: a signature over each call, by the caller's own Ed25519 key (RFC 9421). Both ends use this package.

It knows no route, no framework and no Dapr, and reads the environment only in `settings`.
"""

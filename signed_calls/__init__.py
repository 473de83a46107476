"""Who calls: a signature over each call, by the caller's own Ed25519 key (RFC 9421). Both ends use this package.

It knows no route and no framework, of Dapr only what a person at a terminal needs, and reads the environment only in
`settings` and `__main__`.
"""

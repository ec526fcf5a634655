"""
Any S3-compatible store, and the one that pupload brings along.

`signing` is pure and serves both sides; `client` is `ports.ObjectStore` on any store, `local` on the embedded one;
`stores` makes what flows describe; `supervisor` runs the embedded store's process; `embedded` is that process.
"""

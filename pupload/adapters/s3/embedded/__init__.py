"""
The object store that pupload brings along: S3-compatible, durable, one machine, its own process.

`python -m pupload.adapters.s3.embedded --data DIR …` runs it. A request comes in at `front`, is read by `address` and
`calls`, checked by `signing` next door, and finds its handler in `routes`; the handlers are in `objects`, `copies`,
`listing`, `multipart` and `buckets`. Bytes go through `bodies` into `blobs`, everything else into the `index`; both
are held together by `store`. `control` is the engine's own door: arrivals, links, adoption.

Nothing here knows the rest of pupload, and what it does not do it refuses by name.
"""

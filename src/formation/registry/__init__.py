"""Images in registries: the client of the OCI distribution API, and what is published under which tag.

`repository`, `platforms`, `settings`   a repository and its host; a machine's platform; how registries are spoken to
`registries`      where a repository is asked for first: the mirrors of registries.conf(5)
`credentials`     whose name and password a host gets: Docker's and Podman's files, credential helpers
`challenge`, `tokens`   what a registry asks for, and the Authorization header that answers it
`certificates`, `exchange`   whom TLS trusts; one request and its answer
`session`, `refusal`   requests that are authorised, redirected and tried again; what an error answer means
`registry`        manifests, tags and small blobs
`download`, `upload`, `parallel`   one blob, resumed where it was cut; several at once
`tree`, `source`  a manifest or index with everything below it; a registry's blobs as a BlobSource
`pull`, `push`, `copy`, `open_image`, `listing`   whole images and repositories
`tag_plan`, `lease`, `publish`   versions: which tags they get, who may write them, and in which order
"""

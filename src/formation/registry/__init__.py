"""Images in registries: the client of the OCI distribution API, logins, mirrors, and what is published under which tag.

`repository`    a repository and its host, from a reference
`registries`    where a repository is asked for first: the mirrors of registries.conf(5)
`credentials`   whose name and password a host gets: Docker's and Podman's files, credential helpers
`challenge`     what a registry's WWW-Authenticate asks for
`tokens`        the Authorization header of a request, fetched and renewed
`certificates`  whom TLS trusts
`session`       requests to one host: TLS or not, authorisation, redirects, another try
`refusal`       what a registry's error answer means
`registry`      manifests, tags and blobs
`download`, `upload`   one blob, resumed where it was cut
`pull`, `push`, `copy`, `open_image`   whole images
"""

"""The one downloader of the product: parallel, resuming, checked; and the HTTP below it, which registries speak too.

`proxies`      which proxy serves a URL, from an environment that is passed in
`access`       certificate authorities and logins
`answers`      what a server gives: a body that is read piece by piece, and the errors of one attempt
`partial`      the file that a download grows in, under a temporary name until its size and digest are right
`transfer`     one file from one URL: tries again, resumes, stops when told to
`long_waits`   tells that a server asks to wait
`download`     a file to fetch
`downloader`   several places for one file, several files at once
`http`         redirects, and what the statuses of answers mean; imported on the first request
`connections`  one request over connections that are kept; below it `dial`, `tls`, `wire`, `head`, `response`, `url`
               and `status` (docs/adr/0013)
"""

from formation.network.answers import GoneError
from formation.network.download import Download
from formation.network.downloader import Downloader
from formation.network.proxies import Proxies

__all__ = ["Download", "Downloader", "GoneError", "Proxies"]

"""The one downloader of the product: parallel, resuming, checked. Only the client of registries knows urllib3 besides.

`proxies`     which proxy serves a URL, from an environment that is passed in
`answers`     what a server gives: a body that is read piece by piece, and the errors of one attempt
`http`        one request over urllib3, which is imported on the first request because it takes 60 ms
`partial`     the file that a download grows in, under a temporary name until its size and digest are right
`downloader`  retries, resuming, several places for one file, several files at once
"""

from formation.network.answers import GoneError
from formation.network.downloader import Download, Downloader
from formation.network.proxies import Proxies

__all__ = ["Download", "Downloader", "GoneError", "Proxies"]

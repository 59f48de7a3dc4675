#!/bin/sh
# Starts form-dns. exec: the service itself gets the SIGTERM that asks it to end.
set -eu
umask 027
exec /usr/local/bin/form-dns "${FORM_DNS_CONFIG:-/etc/formation/dns.conf}"

#!/bin/sh
# Starts form-api. exec: the service itself gets the SIGTERM that asks it to end.
set -eu
umask 027
exec /usr/local/bin/form-api "${FORM_API_PORT:-8080}" /var/lib/formation/api /var/log/formation/api.log

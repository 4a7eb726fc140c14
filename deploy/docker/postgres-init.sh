#!/bin/bash
# Runs once, when the cluster's data folder is made.
set -e
PGPASSWORD=$(cat /run/kontor/password) psql --username postgres --set ON_ERROR_STOP=1 --quiet --file /run/kontor/init.sql

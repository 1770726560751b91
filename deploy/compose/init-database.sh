#!/bin/bash
# Runs once, in the database's container, when its volume is new.
set -euo pipefail
psql -v ON_ERROR_STOP=1 -U postgres -d postgres -v password_file="$DARKSTORAGE_DATABASE_PASSWORD_FILE" -f /setup/setup.sql

"""Superset's settings; all that is secret comes from the environment, and what is missing ends the start."""

import os
from urllib.parse import quote


def required(name):
    value = os.environ.get(name, "")
    if not value:
        raise RuntimeError(f"{name} is not set: see .env.example")
    return value


def metadata_uri():
    uri = os.environ.get("SUPERSET_DATABASE_URI")
    if uri:
        return uri
    user, password = quote(required("SUPERSET_DB_USER"), safe=""), quote(required("SUPERSET_DB_PASSWORD"), safe="")
    place = f"{required('SUPERSET_DB_HOST')}:{os.environ.get('SUPERSET_DB_PORT', '5432')}"
    return f"postgresql+psycopg2://{user}:{password}@{place}/{required('SUPERSET_DB_NAME')}"


# Encrypts the passwords of databases in Superset's own one: it has to stay the same.
SECRET_KEY = required("SUPERSET_SECRET_KEY")
SQLALCHEMY_DATABASE_URI = metadata_uri()
SQLALCHEMY_TRACK_MODIFICATIONS = False
WTF_CSRF_ENABLED = True
TALISMAN_ENABLED = True
FAB_ADD_SECURITY_API = True
ROW_LIMIT = 5000
SQL_MAX_ROW = 100000
SUPERSET_WEBSERVER_TIMEOUT = 60
# The dashboard shows what ClickHouse has now.
CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}

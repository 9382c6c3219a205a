"""Brings Superset from whatever state its database is in to the dashboard of superset/provision, and fails where anything of it failed.

Superset's own commands start it anew each time, and some of them end with 0 though they failed; so all is done here, in one process.
What is wrong with the files, with ClickHouse's address or with its password is told before anything is changed. What is there already
as the files say is left alone, so that changes made in the browser stay until the files change.
"""

import hashlib
import logging
import os
import sys
from pathlib import Path
from urllib.parse import quote

import yaml

FILES = Path(os.environ.get("SUPERSET_PROVISION_DIR", Path(__file__).resolve().parent / "provision"))
KINDS = ("databases", "datasets", "charts", "dashboards")
# Where a dataset keeps which files it was made of.
STAMP = "pipectl"


class Refused(Exception):
    """What ends the provisioning, in words for whoever started it."""


def required(name):
    value = os.environ.get(name, "")
    if not value:
        raise Refused(f"{name} is not set: see .env.example")
    return value


def clickhouse():
    """Where ClickHouse is and who logs in."""
    parts = {part: required(f"SUPERSET_CLICKHOUSE_{part.upper()}") for part in ("host", "user", "password", "database")}
    return parts | {"port": int(os.environ.get("SUPERSET_CLICKHOUSE_PORT", "8123"))}


def read_files():
    """Every file as Superset takes it: its path below the folder, and its text with the address filled in."""
    files = {str(path.relative_to(FILES)): path.read_text(encoding="utf-8") for path in sorted(FILES.rglob("*.yaml"))}
    if not files:
        raise Refused(f"there are no files in {FILES}")
    server = clickhouse()
    user, password = quote(server["user"], safe=""), quote(server["password"], safe="")
    address = f"clickhousedb://{user}:{password}@{server['host']}:{server['port']}/{server['database']}"
    for name, text in files.items():
        if name.startswith("databases/"):
            text = text.replace("${SUPERSET_CLICKHOUSE_URI}", address)
        files[name] = text.replace("${SUPERSET_CLICKHOUSE_DATABASE}", server["database"])
    return files


def parse(files):
    """The documents by kind and uuid; each has to be YAML and to name only what is there."""
    documents = {kind: {} for kind in KINDS}
    for name, text in files.items():
        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            # The error would show lines of the file, and one holds the password.
            mark = getattr(error, "problem_mark", None)
            raise Refused(f"{name} is not YAML" + (f", line {mark.line + 1}" if mark else "")) from None
        kind = name.split("/", maxsplit=1)[0]
        if kind in documents:
            if not isinstance(document, dict) or "uuid" not in document:
                raise Refused(f"{name} has no uuid")
            documents[kind][document["uuid"]] = (name, document)
    check_references(documents)
    return documents


def check_references(documents):
    for below, key, above in (("datasets", "database_uuid", "databases"), ("charts", "dataset_uuid", "datasets")):
        for name, document in documents[below].values():
            if document.get(key) not in documents[above]:
                raise Refused(f"{name}: its {key} is that of none of {above}/")
    for name, document in documents["dashboards"].values():
        places = [place for place in document.get("position", {}).values() if isinstance(place, dict)]
        placed = {place["meta"]["uuid"] for place in places if place.get("type") == "CHART"}
        if placed != set(documents["charts"]):
            raise Refused(f"{name}: the charts that it places are not those of charts/: {sorted(placed ^ set(documents['charts']))}")


def stamp_of(files):
    """A name for what the files say. The login is part of it, so that another password is stored too."""
    digest = hashlib.sha256()
    for name, text in sorted(files.items()):
        digest.update(f"{name}\0{text}\0".encode())
    # Salted: it is readable in Superset's database, and a password must not be found by trying.
    digest.update(required("SUPERSET_SECRET_KEY").encode())
    return digest.hexdigest()


def stamped(files, stamp):
    out = dict(files)
    for name, text in files.items():
        if name.startswith("datasets/"):
            out[name] = f"{text.rstrip()}\nextra: {{{STAMP}: {stamp}}}\n"
    return out


def ask_clickhouse():
    """A wrong password, or a server that is not there, is told here and not by a dashboard full of errors."""
    import clickhouse_connect

    server = clickhouse()
    try:
        client = clickhouse_connect.get_client(
            host=server["host"], port=server["port"], username=server["user"], password=server["password"]
        )
        client.command("SELECT 1")
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise Refused(f"ClickHouse cannot be asked as \"{server['user']}\": {first}") from None


def make_tables():
    import flask_migrate
    from superset.extensions import APP_DIR

    flask_migrate.upgrade(directory=f"{APP_DIR}/migrations")


def make_roles():
    from superset import appbuilder, db, security_manager

    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()
    db.session.commit()


def make_user():
    """The one who logs in; with another password in the environment than before, that one holds from now on."""
    from superset import db, security_manager

    name, password = required("SUPERSET_ADMIN_USER"), required("SUPERSET_ADMIN_PASSWORD")
    user = security_manager.find_user(username=name)
    if user is None:
        email = os.environ.get("SUPERSET_ADMIN_EMAIL") or "admin@example.com"
        security_manager.add_user(name, "Admin", "User", email, security_manager.find_role("Admin"), password=password)
        done = "made"
    elif knows(user, password):
        done = "as it was"
    else:
        security_manager.reset_password(user.id, password)
        done = "has a new password"
    db.session.commit()
    user = security_manager.find_user(username=name)
    if user is None or not knows(user, password):
        raise Refused(f'the user "{name}" cannot log in with SUPERSET_ADMIN_PASSWORD')
    return user, done


def knows(user, password):
    from werkzeug.security import check_password_hash

    return bool(user.password) and check_password_hash(user.password, password)


def stored(documents):
    """What there is of the documents, by kind."""
    from superset import db
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.core import Database
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice

    models = dict(zip(KINDS, (Database, SqlaTable, Slice, Dashboard), strict=True))
    return {kind: [row for row in db.session.query(model) if str(row.uuid) in documents[kind]] for kind, model in models.items()}


def missing(documents, stamp):
    """What of the documents is not stored as these files say."""
    found = stored(documents)
    gone = [f"{len(documents[kind]) - len(found[kind])} of {kind}/" for kind in KINDS if len(found[kind]) != len(documents[kind])]
    other = [dataset.table_name for dataset in found["datasets"] if (dataset.extra_dict or {}).get(STAMP) != stamp]
    placed = {chart.id for dashboard in found["dashboards"] for chart in dashboard.slices}
    unplaced = [chart.slice_name for chart in found["charts"] if chart.id not in placed]
    return gone + other + unplaced


def store(files, user):
    from superset.commands.exceptions import CommandException, CommandInvalidError
    from superset.commands.importers.v1.examples import ImportExamplesCommand
    from superset.utils.core import override_user

    try:
        with override_user(user):
            ImportExamplesCommand(files, overwrite=True).run()
    except CommandInvalidError as error:
        raise Refused(f"Superset takes the files not: {error.normalized_messages()}") from None
    except CommandException as error:
        raise Refused(f"the files could not be stored: {error.__cause__ or error}") from None


def provision():
    files = read_files()
    documents, stamp = parse(files), stamp_of(files)
    ask_clickhouse()
    from superset.app import create_app

    with create_app().app_context():
        logging.getLogger().setLevel(logging.WARNING)
        make_tables()
        make_roles()
        user, done = make_user()
        print(f"user {user.username}: {done}")
        if not missing(documents, stamp):
            print("dashboard: as it was")
            return
        store(stamped(files, stamp), user)
        left = missing(documents, stamp)
        if left:
            raise Refused(f"not stored: {', '.join(left)}")
        print(f"dashboard: stored, with {len(documents['charts'])} charts")


if __name__ == "__main__":
    try:
        provision()
    except Refused as refused:
        sys.exit(f"error: {refused}")

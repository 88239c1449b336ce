"""Starts the server of a reading folder, and the small tasks beside it: export, progress, links."""

from __future__ import annotations

import ipaddress
import logging
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from mammogan.errors import UserError
from mammogan.io.own_files import file_exists
from mammogan.io.terminal import say
from mammogan.reader.folder import ReadingFolder
from mammogan.reader.plan import ReadingPlan

if TYPE_CHECKING:
    from mammogan.reader.serving.links import Links
    from mammogan.reader.serving.store import Store

HELP = """Show a drawn reader study to its readers in their browsers, and keep their answers.

    mammogan serve-reading FOLDER                                this machine only, to try it
    mammogan serve-reading FOLDER --host 0.0.0.0 --names reading.example.org --certificate c.pem --certificate-key k.pem
    mammogan serve-reading FOLDER --progress                     how far the readers are
    mammogan serve-reading FOLDER --export answers.csv           all answers so far, without truth

FOLDER is what mammogan draw-reading made; it may be copied to another machine, where `python -m mammogan.reader FOLDER`
does the same. FOLDER/links.csv has a private link for each reader and one for you, the coordinator: hand them out one
by one. Readers go forward only, may stop at any time, and continue where they were. Every answer is on the disk before
the next image appears. Stop the server with Ctrl-C; when it is started again, everything is as it was. FOLDER must be
on a disk of this machine. The server never opens the private key.
"""

ADDRESS = ("host", "port", "names", "certificate")
"""Options that say the address with which links begin."""


@dataclass(frozen=True)
class Options:
    folder: Annotated[Path, tyro.conf.Positional]
    """The reading folder, which has reading.json and images/."""
    host: str = "127.0.0.1"
    """Address on which to listen. 127.0.0.1: only browsers on this machine; 0.0.0.0: every network of this machine."""
    port: int = 8000
    """Port on which to listen."""
    names: tuple[str, ...] = ()
    """Names under which readers reach this machine, such as reading.example.org; the first one is in the links."""
    certificate: Path | None = None
    """TLS certificate (PEM), with its chain; then the links begin with https."""
    certificate_key: Path | None = None
    """Private key of the TLS certificate (PEM)."""
    progress: bool = False
    """Print how far each reader is, and end. Also while a server runs."""
    export: Path | None = None
    """Write all answers so far to this CSV file, without truth, and end. Also while a server runs."""
    new_link: str = ""
    """Give this reader a new link, print it, and end; the old one ends at once. Also while a server runs. Links keep
    the address that links.csv has, unless --host, --port, --names or --certificate is other than its default."""
    revoke: str = ""
    """End this reader's link; the answers stay. Also while a server runs. The other links stay as with --new-link."""


def execute(options: Options) -> int:
    """Do one of the small tasks, or serve until Ctrl-C; return the exit code."""
    folder = ReadingFolder(options.folder)
    plan = folder.load()
    _check(options, plan)
    from mammogan.reader.serving.database import DATABASE, connect
    from mammogan.reader.serving.links import Links
    from mammogan.reader.serving.store import Store

    database = folder.path / DATABASE
    tasks = options.progress or options.export or options.new_link or options.revoke
    if tasks:
        if not file_exists(database):
            raise UserError(f"{folder.path}: nobody has read yet; start the server once, without this option")
        store = Store(connect(database, plan))
        _small_tasks(options, store, Links(folder.path, store, plan.readers, _address_of_links(options, folder.path)))
        store.close()
        return 0
    return _serve(options, folder, plan)


def _small_tasks(options: Options, store: Store, links: Links) -> None:
    from mammogan.reader.serving.progress import export, lines

    if options.progress:
        for line in lines(store):
            say(line)
    if options.export:
        say(f"{export(store, options.export)} answers in {options.export}, without truth")
    if options.new_link:
        say(f"{options.new_link}: {links.renew(options.new_link)}")
    if options.revoke:
        links.revoke(options.revoke)
        say(f"{options.revoke}: the link has ended; --new-link {options.revoke} gives another one")


def _serve(options: Options, folder: ReadingFolder, plan: ReadingPlan) -> int:
    import uvicorn

    from mammogan.reader.plan_checks import check_plan, refuse
    from mammogan.reader.serving.database import DATABASE, connect, lock
    from mammogan.reader.serving.links import LINKS, Links
    from mammogan.reader.serving.server import application
    from mammogan.reader.serving.store import Store

    refuse(check_plan(plan), str(folder.plan_file))
    folder.check(plan)
    listening = _listen(options.host, options.port)
    held = lock(folder.path)
    store = Store(connect(folder.path / DATABASE, plan))
    links = Links(folder.path, store, plan.readers, address(options))
    links.prepare()
    say(f"{plan.name}: {len(plan.readers)} readers, {len(plan.sessions)} sessions, {len(plan.images)} images")
    for note in plan.notes:
        say(f"  {note}")
    say(f"listening on {address(options)}; a private link for each reader and for you is in {folder.path / LINKS}")
    if not (options.certificate or _only_here(options.host)):
        say("the connection is not encrypted: use a trusted network only, or give --certificate and --certificate-key")
    logging.basicConfig(format="%(asctime)s %(message)s")
    config = uvicorn.Config(
        application(folder, plan, store, links, hosts(options)),
        log_level="warning", access_log=False, server_header=False, date_header=False, proxy_headers=False,
        ssl_certfile=options.certificate, ssl_keyfile=options.certificate_key, lifespan="off",
        timeout_graceful_shutdown=3,
    )  # fmt: skip
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        say("stopped; all answers are stored, and the same command goes on")
    finally:
        store.close()
        held.close()
    return 0


def _check(options: Options, plan: ReadingPlan) -> None:
    if bool(options.certificate) != bool(options.certificate_key):
        raise UserError("--certificate and --certificate-key belong together: give both, or neither")
    for file in (options.certificate, options.certificate_key):
        if file and not file.is_file():
            raise UserError(f"{file}: no such file")
    for name in (options.new_link, options.revoke):
        if name and name not in plan.readers:
            raise UserError(f"{name}: no such reader; the readers are {', '.join(plan.readers)}")


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, before anything is written; raise UserError where that is impossible."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio sends at once (TCP_NODELAY) only on sockets that name their protocol; others wait 40 ms an answer.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        raise UserError(
            f"cannot listen on {host}, port {port} ({error.strerror}); another program may use this port, then choose "
            "another one with --port; --host must be an address of this machine"
        ) from error
    return listening


def address(options: Options) -> str:
    """Return the address at which readers reach the server, as the links begin."""
    scheme, usual = ("https", 443) if options.certificate else ("http", 80)
    host = options.names[0] if options.names else options.host
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    elif ":" in host:
        host = f"[{host}]"
    return f"{scheme}://{host}" + ("" if options.port == usual else f":{options.port}")


def _address_of_links(options: Options, folder: Path) -> str:
    """Return the address of the options if they give one, else that of the folder's links, which a server wrote."""
    from mammogan.reader.serving.links import address_in

    given = any(getattr(options, name) != getattr(Options, name) for name in ADDRESS)
    kept = "" if given or not (options.new_link or options.revoke) else address_in(folder)
    return kept or address(options)


def hosts(options: Options) -> frozenset[str]:
    """Return the names that the server answers for; it also answers for IP addresses."""
    known = {"localhost", options.host, *options.names}
    if not _only_here(options.host):
        known |= {socket.gethostname(), socket.getfqdn()}
    return frozenset(name.lower() for name in known)


def _only_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

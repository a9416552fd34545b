"""Servers in Java that servers.py starts copies of, and their users.

Tomcat and ZooKeeper are Debian's (tomcat10-user, zookeeper), started without their shell scripts.
"""

from __future__ import annotations

import http.client
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from programs import JAVA, LOCALHOST, Place

HERE = Path(__file__).parent / "servers"
TOMCAT = Path("/usr/share/tomcat10")


@dataclass(frozen=True)
class Server:
    """Server: what its JVM is started with, and its users.

    user: makes one request each time it is asked for the next item.
    """

    package: str
    file: Path
    arguments: Callable[[Place], list[str]]
    ready: str
    user: Callable[[Place, int], Iterator[None]]
    requests: int
    build: Callable[[Path], None] = lambda _shared: None
    prepare: Callable[[Place], None] = lambda _place: None


def _prepare_tomcat(place: Place) -> None:
    """Make a folder with one application, which has a session for each user."""
    shutil.copytree(TOMCAT / "skel", place.folder, dirs_exist_ok=True)
    for name in ("conf", "logs", "temp", "webapps/ROOT", "work"):
        (place.folder / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "index.jsp", place.folder / "webapps/ROOT/index.jsp")
    (place.folder / "conf/server.xml").write_text(
        f"""<Server port="-1"><Service name="Catalina">
<Connector address="{LOCALHOST}" port="{place.port}" maxKeepAliveRequests="-1"/>
<Engine name="Catalina" defaultHost="localhost"><Host name="localhost" appBase="webapps"/></Engine>
</Service></Server>
"""
    )
    if not (place.folder / "conf/web.xml").exists():
        shutil.copy("/etc/tomcat10/web.xml", place.folder / "conf/web.xml")


def _tomcat_user(place: Place, _number: int) -> Iterator[None]:
    connection = http.client.HTTPConnection(LOCALHOST, place.port, timeout=60)
    headers: dict[str, str] = {}
    while True:
        connection.request("GET", "/index.jsp", headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200 and b"<table>" in text, text
        cookie = answer.getheader("Set-Cookie")
        headers = headers if cookie is None else {"Cookie": cookie.split(";")[0]}
        yield


def _prepare_zookeeper(place: Place) -> None:
    (place.folder / "zoo.cfg").write_text(
        f"dataDir={place.folder}/data\nclientPort={place.port}\nclientPortAddress={LOCALHOST}\n"
        "admin.enableServer=false\ntickTime=2000\n"
    )
    (place.folder / "log4j.properties").write_text(
        "log4j.rootLogger=INFO, CONSOLE\nlog4j.appender.CONSOLE=org.apache.log4j.ConsoleAppender\n"
        "log4j.appender.CONSOLE.layout=org.apache.log4j.PatternLayout\n"
        "log4j.appender.CONSOLE.layout.ConversionPattern=%m%n\n"
    )


def _packet(stream: socket.socket, body: bytes) -> bytes:
    """Send a packet of ZooKeeper's protocol and return the answer."""
    stream.sendall(struct.pack(">i", len(body)) + body)
    file = stream.makefile("rb")
    (length,) = struct.unpack(">i", file.read(4))
    answer: bytes = file.read(length)
    return answer


def _text(text: bytes) -> bytes:
    return struct.pack(">i", len(text)) + text


def _zookeeper_user(place: Place, number: int) -> Iterator[None]:
    """Create nodes of 512 bytes, and read each back."""
    anyone = struct.pack(">ii", 1, 31) + _text(b"world") + _text(b"anyone")
    with socket.create_connection((LOCALHOST, place.port), timeout=60) as stream:
        _packet(stream, struct.pack(">iqiq", 0, 0, 30000, 0) + _text(bytes(16)) + b"\0")
        count = 0
        while True:
            path = _text(b"/user-%d-%d" % (number, count))
            create = struct.pack(">ii", 2 * count + 1, 1) + path + _text(b"x" * 512) + anyone
            read = struct.pack(">ii", 2 * count + 2, 4) + path + b"\0"
            for request in (create + struct.pack(">i", 0), read):
                answer = _packet(stream, request)
                assert struct.unpack(">i", answer[12:16])[0] == 0, answer
            count += 1
            yield


def _world_user(place: Place, number: int) -> Iterator[None]:
    """Walk away from the spawn, so that land has to be made."""
    with socket.create_connection((LOCALHOST, place.port), timeout=60) as stream:
        file = stream.makefile("rb")
        step = 0
        while True:
            x, z = (step // 8 + 6, step % 8 - 4) if number % 2 else (step % 8 - 4, step // 8 + 6)
            stream.sendall(b"%d %d\n" % ((-x, -z) if number > 1 else (x, z)))
            (length,) = struct.unpack(">i", file.read(4))
            assert len(file.read(length)) > 1000
            step += 1
            yield


def _compile(shared: Path) -> None:
    """Make a JAR: AppCDS takes no classes from folders."""
    classes = shared / "classes"
    subprocess.run(["javac", "-d", classes, HERE / "World.java"], check=True)
    subprocess.run(["jar", "cf", shared / "world.jar", "-C", classes, "."], check=True)


SERVERS = {
    "Tomcat 10": Server(
        "tomcat10-user",
        TOMCAT / "bin/bootstrap.jar",
        lambda place: [
            *("-cp", f"{TOMCAT}/bin/bootstrap.jar:{TOMCAT}/bin/tomcat-juli.jar"),
            *(f"-Dcatalina.home={TOMCAT}", f"-Dcatalina.base={place.folder}"),
            *("-Djava.io.tmpdir=" + str(place.folder / "temp"), "-Dcopy=" + place.name),
            *("org.apache.catalina.startup.Bootstrap", "start"),
        ],
        "Server startup in",
        _tomcat_user,
        600,
        prepare=_prepare_tomcat,
    ),
    "ZooKeeper 3.8": Server(
        "zookeeper",
        Path("/usr/share/java/zookeeper.jar"),
        lambda place: [
            *(
                "-cp",
                f"{place.folder}:/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-log4j12.jar:/usr/share/java/log4j-1.2.jar",
            ),
            "-Dzookeeper.forceSync=no",
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            str(place.folder / "zoo.cfg"),
        ],
        "maxNeverUsedIntervalMs",
        _zookeeper_user,
        400,
        prepare=_prepare_zookeeper,
    ),
    "game world": Server(
        "openjdk-17-jdk-headless",
        Path(JAVA),
        lambda place: ["-cp", f"{place.shared}/world.jar", "World", place.name, str(place.port)],
        "ready copy-",
        _world_user,
        250,
        build=_compile,
    ),
}
